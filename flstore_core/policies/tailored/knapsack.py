"""Chooses which candidates to hold: a knapsack problem, filled greedily by density.

Worth is expected requests a second, weight is bytes, and the knapsack is the cache. Dantzig's rule ("Discrete-variable
extremum problems", Operations Research 5(2), 1957) takes the candidates by worth per byte, the densest first, while
they fit. Its weakness is a dense small candidate that shuts a large one out, so there is one exchange: a candidate that
does not fit replaces chosen ones, the least dense first, if it is worth more than all that it replaces together.

Example (`tests/policies/tailored/test_knapsack.py` runs it), with room for 10 bytes:

    candidate   bytes   worth   density
    a           2       1.0     0.50
    b           4       1.2     0.30
    c           8       2.0     0.25

Greedily a and b are chosen, worth 2.2 in 6 bytes, and c needs 4 more bytes than are left. Replacing b frees 4 bytes and
gives up 1.2 < 2.0, so a and c are chosen: worth 3.0. Were c worth 1.1 (density 0.1375), b would stay.
"""

from collections.abc import Iterable
from operator import attrgetter

from flstore_core.policies.tailored.candidates import Candidate
from flstore_core.policies.tailored.known_rounds import Group

_DENSITY = attrgetter("density")


def choose_candidates(candidates: Iterable[Candidate], room: int) -> tuple[list[Candidate], bool]:
    """Return candidates that fit into `room` bytes together, roughly the densest first, and whether any was left out.

    Of candidates that stand for the same group, the densest counts. An object in two groups is counted twice.
    """
    ranked = sorted([candidate for candidate in candidates if candidate.bytes <= room], key=_DENSITY, reverse=True)
    chosen: list[Candidate] = []
    groups: set[Group] = set()
    left_out = False
    for candidate in ranked:
        if candidate.group in groups:
            continue
        if candidate.bytes > room and (replaced := _worth_less(chosen, candidate, candidate.bytes - room)):
            room += sum([other.bytes for other in replaced])
            chosen = [other for other in chosen if other not in replaced]
            left_out = True
        if candidate.bytes <= room:
            room -= candidate.bytes
            chosen.append(candidate)
            groups.add(candidate.group)
        else:
            left_out = True
    return chosen, left_out


def _worth_less(chosen: list[Candidate], candidate: Candidate, needed: int) -> list[Candidate]:
    """Return some of `chosen`, last first, that free `needed` bytes and together are worth less than `candidate`.

    Return none if that is impossible. One that alone is worth too much is skipped.
    """
    worth = candidate.density * candidate.bytes
    replaced: list[Candidate] = []
    for other in reversed(chosen):
        cost = other.density * other.bytes
        if cost >= worth:
            continue
        worth -= cost
        needed -= other.bytes
        replaced.append(other)
        if needed <= 0:
            return replaced
    return []
