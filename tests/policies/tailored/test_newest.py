"""The newest rounds and models step down by one rank at each commit."""

from typing import cast

from flstore_core.patterns import Pattern
from flstore_core.policies.tailored.candidates import Hazards
from flstore_core.policies.tailored.newest import Newest
from tests.policies.tailored.parts import Named, updates


def newest_rounds(depth: int, named: Named) -> Newest:
    return Newest("round", Pattern.P2, depth, cast("Hazards", named))


def test_the_example_in_the_class() -> None:
    newest = newest_rounds(2, Named())
    for number in (7, 8, 9):
        newest.push(number, updates(number), now=float(number))
        kinds = [(candidate.kind, next(iter(candidate.group.sizes)).round) for candidate in newest.candidates]
        assert kinds == [("newest round", number), ("recent round", number - 1)][: number - 6]


def test_each_rank_has_a_hazard_of_its_own_that_learns_how_long_a_round_had_it() -> None:
    named = Named()
    newest = newest_rounds(3, named)
    for number, now in enumerate((0.0, 10.0, 30.0, 60.0)):
        newest.push(number, updates(number), now)
    assert [named.name(candidate) for candidate in newest.candidates] == [
        ("newest round", ""),
        ("recent round", "1"),
        ("recent round", "2"),
    ]
    assert named.made["newest round", ""].lives == [(0.0, 10.0), (0.0, 20.0), (0.0, 30.0)]
    assert named.made["recent round", "1"].lives == [(0.0, 20.0), (0.0, 30.0)]
    assert named.made["recent round", "2"].lives == [(0.0, 30.0)]
    assert all(candidate.since == 60.0 for candidate in newest.candidates)


def test_a_request_teaches_the_rank_of_its_round_the_age() -> None:
    named = Named()
    newest = newest_rounds(2, named)
    newest.push(1, updates(1), now=0.0)
    newest.push(2, updates(2), now=10.0)
    assert newest.observe_request(2, now=13.0)
    assert newest.observe_request(1, now=14.0)
    assert not newest.observe_request(0, now=15.0)
    assert named.made["newest round", ""].requests == [3.0]
    assert named.made["recent round", "1"].requests == [4.0]
