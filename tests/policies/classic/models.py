"""Reference models of the classic policies: lists and linear searches, written from the papers and nothing else.

Each is a function from requests for single letters, the sizes of the letters and the room to the letters that are
cached after each request. A miss evicts until the letter fits, then caches it.
"""

from collections.abc import Callable, Mapping

Model = Callable[[str, Mapping[str, int], int], list[set[str]]]


def fifo(asked: str, sizes: Mapping[str, int], room: int) -> list[set[str]]:
    queue: list[str] = []
    seen = []
    for letter in asked:
        if letter not in queue:
            while _used(queue, sizes) + sizes[letter] > room:
                queue.pop(0)
            queue.append(letter)
        seen.append(set(queue))
    return seen


def lru(asked: str, sizes: Mapping[str, int], room: int) -> list[set[str]]:
    by_last_use: list[str] = []
    seen = []
    for letter in asked:
        if letter in by_last_use:
            by_last_use.remove(letter)
        while _used(by_last_use, sizes) + sizes[letter] > room:
            by_last_use.pop(0)
        by_last_use.append(letter)
        seen.append(set(by_last_use))
    return seen


def lfu(asked: str, sizes: Mapping[str, int], room: int) -> list[set[str]]:
    """Uses since the letter was cached, then the time of the last use."""
    uses: dict[str, tuple[int, int]] = {}
    seen = []
    for now, letter in enumerate(asked):
        if letter in uses:
            uses[letter] = (uses[letter][0] + 1, now)
        else:
            while _used(uses, sizes) + sizes[letter] > room:
                del uses[min(uses, key=lambda other: uses[other])]
            uses[letter] = (0, now)
        seen.append(set(uses))
    return seen


def gdsf(asked: str, sizes: Mapping[str, int], room: int) -> list[set[str]]:
    """Priority is the clock at the last use plus uses over size; the clock is the priority of the last victim."""
    clock = 0.0
    uses: dict[str, int] = {}
    priority: dict[str, float] = {}
    seen = []
    for letter in asked:
        if letter not in uses:
            while _used(uses, sizes) + sizes[letter] > room:
                victim = min(uses, key=lambda other: (priority[other], other))
                clock = priority[victim]
                del uses[victim], priority[victim]
        uses[letter] = uses.get(letter, 0) + 1
        priority[letter] = clock + uses[letter] / sizes[letter]
        seen.append(set(uses))
    return seen


def s3_fifo(asked: str, sizes: Mapping[str, int], room: int) -> list[set[str]]:
    """Small, main and ghost queues, their heads at the left; a tenth of the room is small, nine tenths are ghosts."""
    small: list[str] = []
    main: list[str] = []
    ghosts: list[str] = []
    uses: dict[str, int] = {}
    seen = []
    for letter in asked:
        if letter in small or letter in main:
            uses[letter] = min(3, uses[letter] + 1)
        else:
            while _used(small, sizes) + _used(main, sizes) + sizes[letter] > room:
                if small and (_used(small, sizes) > 0.1 * room or not main):
                    head = small.pop(0)
                    if uses[head] > 1:
                        main.append(head)
                        uses[head] = 0
                    else:
                        ghosts.append(head)
                        while _used(ghosts, sizes) > 0.9 * room:
                            ghosts.pop(0)
                else:
                    head = main.pop(0)
                    if uses[head] > 0:
                        main.append(head)
                        uses[head] -= 1
            (main if letter in ghosts else small).append(letter)
            if letter in ghosts:
                ghosts.remove(letter)
            uses[letter] = 0
        seen.append({*small, *main})
    return seen


MODELS: dict[str, Model] = {"fifo": fifo, "lru": lru, "lfu": lfu, "gdsf": gdsf, "s3-fifo": s3_fifo}


def _used(letters: list[str] | dict[str, int] | dict[str, tuple[int, int]], sizes: Mapping[str, int]) -> int:
    return sum(sizes[letter] for letter in letters)
