"""How a round's base is named again."""

import pytest

from flstore_core.archives.facts import Bases
from flstore_core.ids import AGGREGATE
from flstore_core.records import Member, Round

HASH = "a" * 64


def round_of(number: int, base: int | None = None, named: str | None = None, aggregate: str = "") -> Round:
    member = Member(AGGREGATE, aggregate, 10, 8) if aggregate else None
    return Round(number, base, (), member, base_named=named)


@pytest.mark.parametrize(
    ("record", "name"),
    [
        (round_of(4, base=2), None),
        (round_of(4, base=0), "0"),
        (round_of(4, base=None), "none"),
        (round_of(4, base=0, named="0"), "0"),
        (round_of(4, base=None, named="3"), "3"),
        (round_of(4, base=None, named="none"), "none"),
        (round_of(4, base=0, named=HASH), HASH),
        (round_of(4, base=2, named="b" * 64), "2"),
        (round_of(4, base=None, named="b" * 64), "none"),
    ],
)
def test_a_base_that_does_not_follow_is_named(record: Round, name: str | None) -> None:
    bases = Bases()
    for earlier in (round_of(0, aggregate=HASH), round_of(2, base=0, aggregate="c" * 64), round_of(3, base=2)):
        bases.add(earlier)
    assert bases.name_of(record) == name
