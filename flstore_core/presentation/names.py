"""Names as a screen can show them: every character visible, none longer than there is room, no two alike.

A name may come from anybody, so it may hold what a terminal obeys: escape sequences, line breaks, marks that turn the
direction of writing. Those are written as escapes. A long name loses its middle, since names of one family differ at
either end. Two names that would become the same text are told apart by a number.

Example, with room for 11 characters::

    hospital-south-1             hospi…uth-1
    hospital-north-0007-north-1  hospi…rth-1
    hospital-north-0008-north-1  hos…#2…th-1
    a<newline>b                  a\\nb
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

LEAST_ROOM = 28
"""Characters that a name always has."""
PROSE = frozenset({"aggregate", "detail", "href", "message", "reason", "reasons", "sha256", "text"})
"""Fields whose texts are sentences, addresses or hashes: they are wrapped where they do not fit, never shortened."""

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, invisible marks, halves of characters, and line breaks."""
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_ISOLATE, _END = "\u2068", "\u2069"
_GAP = "…"


def legible(text: str) -> str:
    """Return text without a character that a terminal would obey or hide.

    Writing from right to left is kept, and isolated so that what stands beside it keeps its place.
    """
    visible = "".join(_escaped(each) if unicodedata.category(each) in _HIDDEN else each for each in text)
    if any(unicodedata.bidirectional(each) in _RIGHT_TO_LEFT for each in visible):
        return f"{_ISOLATE}{visible}{_END}"
    return visible


def fitting(names: Iterable[str], room: int = LEAST_ROOM) -> dict[str, str]:
    """Return each of some names as it is to be shown: legible, about `room` characters at most, and distinct."""
    distinct = dict.fromkeys(names)
    # Names that stay as they are come first: no other may take the text of one of them.
    result = {name: name for name in distinct if _room(name, room) >= len(name) and legible(name) == name}
    taken = set(result)
    for name in distinct:
        if name not in result:
            result[name] = _free(name, _room(name, room), taken)
            taken.add(result[name])
    return result


def tidy(answer: Mapping[str, Any], room: int = LEAST_ROOM) -> dict[str, Any]:
    """Return a JSON object whose names are all fit to be shown, keys included; a name is the same text everywhere."""
    names = fitting(_texts(answer), max(room, LEAST_ROOM))
    return {names[key]: _tidied(each, names, key in PROSE) for key, each in answer.items()}


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _room(name: str, room: int) -> int:
    """Return how many characters of a name fit: half as many, if some of them are as wide as two."""
    return room // 2 if any(unicodedata.east_asian_width(each) in "WF" for each in name) else room


def _free(name: str, room: int, taken: set[str]) -> str:
    """Return a name shortened to a text that is not taken."""
    text, number = _shortened(name, room, _GAP), 2
    while text in taken:
        text, number = _shortened(name, room, f"{_GAP}#{number}{_GAP}"), number + 1
    return text


def _shortened(name: str, room: int, mark: str) -> str:
    """Return a name with `mark` for its middle, if it is too long or the mark says more than that."""
    # What is shortened is the bare text; escapes may be cut, an isolation must stay a pair.
    bare = legible(name).removeprefix(_ISOLATE).removesuffix(_END)
    if len(bare) > room or mark != _GAP:
        kept = min(len(bare), max(room - len(mark), 2))
        bare = bare[: kept - kept // 2] + mark + bare[len(bare) - kept // 2 :]
    return legible(bare)


def _texts(value: Any, prose: bool = False) -> Iterator[str]:
    """Yield every name in a JSON value."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield key
            yield from _texts(each, key in PROSE)
    elif isinstance(value, list | tuple) and not _has_no_text(value):
        for each in value:
            yield from _texts(each, prose)
    elif isinstance(value, str) and not prose:
        yield value


_TEXTLESS = frozenset({bool, float, int, type(None)})


def _has_no_text(values: Sequence[Any]) -> bool:
    """Return whether a list has numbers alone: a matrix of a thousand clients has a million."""
    return _TEXTLESS.issuperset(map(type, values))


def _tidied(value: Any, names: Mapping[str, str], prose: bool) -> Any:
    if isinstance(value, Mapping):
        return {names[key]: _tidied(each, names, key in PROSE) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return value if _has_no_text(value) else [_tidied(each, names, prose) for each in value]
    if isinstance(value, str):
        return legible(value) if prose else names[value]
    return value
