"""Request count and supersession select each thing's hazard."""

from typing import cast

import pytest

from flstore_core.patterns import Pattern
from flstore_core.policies.tailored.candidates import Hazards
from flstore_core.policies.tailored.known_rounds import Group
from flstore_core.policies.tailored.recently_requested import RecentlyRequested
from tests.policies.tailored.parts import Named, updates

KIND = "tracked client"


def clients(named: Named, most: int = 4) -> RecentlyRequested[str]:
    return RecentlyRequested(KIND, Pattern.P3, most, cast("Hazards", named), "v")


def request(tracked: RecentlyRequested[str], *names: str, every: float = 10.0) -> None:
    """Request clients one after the other, the first at second 0; each has one update of its own."""
    for number, name in enumerate(names):
        tracked.observe_request(name, updates(1, name), now=number * every)


def stage(tracked: RecentlyRequested[str], named: Named, name: str) -> str:
    candidate = tracked.get(name)
    assert candidate is not None
    return named.name(candidate)[1].removeprefix("v ")


def test_the_example_in_the_module() -> None:
    named = Named()
    tracked = clients(named)
    request(tracked, "a", "a")
    assert stage(tracked, named, "a") == "latest 1"
    tracked.observe_request("b", updates(1, "b"), now=15.0)
    assert (stage(tracked, named, "a"), stage(tracked, named, "b")) == ("superseded 1", "latest 0")
    superseded = tracked.get("a")
    assert superseded is not None
    assert superseded.since == 10.0  # its age goes on
    assert named.made[KIND, "v latest 1"].lives == [(0.0, 5.0)]  # its life as the latest ended


@pytest.mark.parametrize(("requests", "expected"), [(1, "latest 0"), (2, "latest 1"), (3, "latest 2"), (9, "latest 2")])
def test_three_requests_and_more_are_one_stage(requests: int, expected: str) -> None:
    named = Named()
    tracked = clients(named)
    request(tracked, *["a"] * requests)
    assert stage(tracked, named, "a") == expected


def test_a_repeat_teaches_the_hazard_it_was_under() -> None:
    named = Named()
    request(clients(named), "a", "a", "a")
    assert named.made[KIND, "v latest 0"].requests == named.made[KIND, "v latest 1"].requests == [10.0]
    assert named.made[KIND, "v latest 0"].lives == named.made[KIND, "v latest 1"].lives == [(0.0, 10.0)]


def test_a_superseded_thing_that_comes_back_lived_as_superseded_from_that_age_on() -> None:
    named = Named()
    tracked = clients(named)
    request(tracked, "a", "b", "a")
    superseded = named.made[KIND, "v superseded 0"]
    assert (superseded.requests, superseded.lives) == ([20.0], [(10.0, 20.0)])
    assert stage(tracked, named, "a") == "latest 1"
    assert stage(tracked, named, "b") == "superseded 0"


def test_the_least_recently_requested_is_forgotten_with_its_count() -> None:
    named = Named()
    tracked = clients(named, most=2)
    request(tracked, "a", "a", "b", "c")
    assert tracked.get("a") is None
    assert named.made[KIND, "v superseded 1"].lives == [(10.0, 20.0)]
    tracked.observe_request("a", updates(1, "a"), now=40.0)
    assert stage(tracked, named, "a") == "latest 0"
    assert [candidate.kind for candidate in tracked.candidates] == [KIND] * 2


def test_one_place_is_taken_over_by_whatever_is_requested() -> None:
    tracked = clients(Named(), most=1)
    request(tracked, "a", "b")
    assert (tracked.get("a"), tracked.get("b") is not None) == (None, True)


def test_other_objects_replace_the_group_and_equal_ones_do_not() -> None:
    tracked = clients(Named())
    request(tracked, "a")
    candidate = tracked.get("a")
    assert candidate is not None
    candidate.changed = False
    tracked.observe_request("a", Group(dict(candidate.group.sizes)), now=1.0)
    assert not candidate.changed
    tracked.observe_request("a", updates(2, "a"), now=2.0)
    assert (candidate.changed, candidate.group.sizes) == (True, updates(2, "a").sizes)
