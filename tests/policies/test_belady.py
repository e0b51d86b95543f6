"""Farthest next use, on sequences small enough to follow by hand."""

import random

import pytest

from flstore_core.cache import Ledger
from flstore_core.cache.shadow import Shadow
from flstore_core.patterns import Pattern
from flstore_core.policies import Cause, Key, Policy, Request, make_policy
from flstore_core.policies.belady import Belady


def key(letter: str) -> Key:
    return Key("j", 0, letter)


def requests(asked: str) -> list[Request]:
    """Return one request for each word, for all of its letters."""
    return [Request("j", "w", Pattern.P2, tuple(map(key, word))) for word in asked.split()]


def replayed(policy: Policy, asked: str, budget: int, sizes: dict[str, int] | None = None) -> str:
    """Return h for each hit and m for each miss; letters have ten bytes unless `sizes` says otherwise."""
    known = {key(letter): (sizes or {}).get(letter, 10) for letter in asked if letter != " "}
    shadow = Shadow(Ledger(policy, budget, lambda: 0.0), known)
    return "".join("h" if shadow.request(request).hit else "m" for request in requests(asked))


def test_the_example_in_the_module() -> None:
    asked = "a b c a b a"
    assert replayed(Belady(20, requests(asked)), asked, 20) == "mmmhhh"
    assert replayed(make_policy("lru", 20, lambda: 0.0, random.Random(0)), asked, 20) == "mmmmmh"


def test_the_published_string_has_seven_faults() -> None:
    """Belady, Nelson and Shedler's reference string in three frames: OPT has seven faults, FIFO nine."""
    asked = " ".join("123412512345")
    assert replayed(Belady(30, requests(asked)), asked, 30).count("m") == 7


def test_what_arrives_and_is_used_later_than_all_that_is_cached_is_left_out() -> None:
    policy = Belady(10, requests("a b"))
    policy.inserted({key("a"): 10}, Cause.ARRIVAL)
    assert not policy.arrived(key("b"), 10)


@pytest.mark.parametrize(("whole", "expected"), [(True, "hmh"), (False, "hmm")])
def test_only_whole_requests_are_given_up(whole: bool, expected: str) -> None:
    """Room for two. c displaces a: then b alone is of no use for the request of both, and d may have its place."""
    asked = "c ab d"
    policy = Belady(20, requests(asked), whole)
    shadow = Shadow(Ledger(policy, 20, lambda: 0.0), dict.fromkeys(map(key, "abcd"), 10))
    for letter in "abcd":
        shadow.ingest(key(letter), 10)
    assert "".join("h" if shadow.request(request).hit else "m" for request in requests(asked)) == expected


def test_a_large_object_takes_the_place_of_several_that_are_used_later() -> None:
    asked = "a b L a b"
    assert replayed(Belady(30, requests("a b L L a b")), "a b L L a b", 30, {"L": 30}) == "mmmhmm"
    assert replayed(Belady(30, requests(asked)), asked, 30, {"L": 30}) == "mmmhh"


def test_small_objects_stay_where_a_larger_one_makes_the_room_alone() -> None:
    """n needs 20 bytes. The farthest is s (10), then L (30): once L leaves, s need not."""
    asked = "s L n n L s"
    policy = Belady(40, requests(asked))
    policy.inserted({key("s"): 10, key("L"): 30}, Cause.DEMAND)
    for request in requests("s L"):
        policy.requested(request, ())
    policy.requested(requests("n")[0], [key("n")])
    assert policy.admits({key("n"): 20}, Cause.DEMAND) == {key("n"): 20}
    assert policy.evict(20, pinned=()) == (({key("L"): 30}, "farthest-next-use"),)


@pytest.mark.parametrize(("letter", "reason"), [("a", "used again by request 1"), ("b", "never used again")])
def test_a_cached_key_is_explained_by_its_next_use(letter: str, reason: str) -> None:
    policy = Belady(20, requests("ab a"))
    policy.inserted({key("a"): 10, key("b"): 10}, Cause.ARRIVAL)
    policy.requested(requests("ab")[0], ())
    assert policy.reason(key(letter)) == reason
