"""How stored records and messages change from one version of FLStore to the next, so that both can run side by side.

**Two kinds of change.** A version may *add a field* to a record. Versions that do not know the field ignore it, and
whoever changes the record writes it back as it was. If that is not enough, because a version that ignores the field
would take the record for something else, the version gives the record a new *format*, a whole number in the field
`format`. Versions that do not know the format refuse the record. A record without that field has format 1.

Example: an older gateway renews an operation that a newer one began with a field `deadline`:

    stored    {"id": "7f…", "state": "running", "renewed_at": 10.0, "deadline": 60.0}
    as read   Operation(id="7f…", state="running", renewed_at=10.0, unknown={"deadline": 60.0})
    written   {"id": "7f…", "state": "running", "renewed_at": 12.0, "deadline": 60.0}

With `"format": 2` in it, the record would be answered with `NewerFormat` and left as it is.

**Version 0.1.0** does not ignore what it does not know in operations, in the records of programs and data sets, in the
messages to shards and in their working sets. So what was added to these since is left out while it has its default
(`without_defaults`). `tests/upgrade` has 0.1.0 read what this version writes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from flstore_core.errors import NewerFormat

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

LATER = "later"
"""In a part of a record that version 0.1.0 hands on as it is: fields that this version would fail on elsewhere."""

FORMAT = "format"
"""Field with the number of a record's or message's format; without it the format is 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A stored record. Its class has `to_json` and `from_json`, and hands on what neither of them knows."""

    NAMES: ClassVar[Mapping[str, str]] = {}
    """Names of fields in the record's JSON, where they have others than here."""
    BESIDE: ClassVar[Collection[str]] = ()
    """Names in its JSON that belong to somebody else of this version, who writes them."""

    unknown: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """Fields of the stored record that a later version has added. They go back into the store with the record."""

    @classmethod
    def unknown_in(cls, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return those fields of a record's JSON that this version does not know.

        Raises:
            NewerFormat: if the record has a format that this version does not know.
        """
        require_format(f"a stored record ({cls.__name__})", data)
        known = _names(cls)
        return {} if data.keys() <= known else {name: value for name, value in data.items() if name not in known}


def require_format(what: str, data: Mapping[str, Any], newest: int = 1, name: str = FORMAT) -> None:
    """Raise `NewerFormat` if a record or message has a format above the newest that its reader knows.

    Args:
        name: the field with the number of the format.
    """
    number = data.get(name, 1)
    if number not in range(1, newest + 1):
        raise NewerFormat(
            f"{what} has format {number!r:.40}, and this version of FLStore reads formats up to {newest}; a later "
            "version wrote it, so use that version",
            format=number,
        )


def from_known(kind: type[T], data: Mapping[str, Any]) -> T:
    """Return a dataclass of the fields that it has in its JSON; a `Record` keeps the others, which are ignored.

    Raises:
        NewerFormat: as `Record.unknown_in`.
    """
    names = _names(kind)
    values = {name: value for name, value in data.items() if name in names}
    if issubclass(kind, Record):
        values["unknown"] = kind.unknown_in(data)
    return kind(**values)


def without_defaults(value: "DataclassInstance", data: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return the JSON of a dataclass without those fields of `names` that have their defaults.

    The fields are those that version 0.1.0 does not know, where it would not ignore them.
    """
    defaults = {each.name: each.default for each in fields(value) if each.name in names}
    return {name: item for name, item in data.items() if name not in defaults or item != defaults[name]}


_known: dict[str, frozenset[str]] = {}
"""The names that each class knows in its JSON."""


def _names(kind: type["DataclassInstance"]) -> frozenset[str]:
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name not in _known:
        aliases, beside = getattr(kind, "NAMES", {}), getattr(kind, "BESIDE", ())
        own = (aliases.get(each.name, each.name) for each in fields(kind) if each.name != "unknown")
        _known[name] = frozenset({*own, *beside})
    return _known[name]
