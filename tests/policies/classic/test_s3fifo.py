"""S3-FIFO step by step."""

from flstore_core.patterns import Pattern
from flstore_core.policies import Cause
from tests.policies.classic.asking import Asked, key


def test_the_example_in_the_module() -> None:
    cache = Asked("s3-fifo", 100)
    cache.ask("aaabcdefghij")
    assert cache.cached() == set("abcdefghij")
    cache.ask("k")
    assert cache.cached() == set("acdefghijk")
    cache.ask("b")
    assert cache.cached() == set("adefghijkb")
    # b is in main now: the small queue's newcomers leave before it.
    cache.ask("lmnopqrst")
    assert {"a", "b"} <= cache.cached()


def test_the_used_stay_through_a_scan_that_washes_lru_out() -> None:
    scan = "".join(chr(200 + number) for number in range(40))
    for name, expected in (("s3-fifo", "hh"), ("lru", "mm")):
        assert Asked(name, 100).ask("ababab" + scan + "ab")[-2:] == expected


def test_ghosts_are_forgotten_beyond_nine_tenths_of_the_budget() -> None:
    cache = Asked("s3-fifo", 100)
    cache.ask("abcdefghij")
    cache.ask("klmnopqrst")  # evicts a to j, of which nine are remembered
    cache.ask("ca")  # evicts k and l: now the ghosts are d to l
    cache.ask("uvwxyzABCD")
    assert "c" in cache.cached()
    assert "a" not in cache.cached()


def test_what_was_erased_comes_back_as_a_newcomer() -> None:
    cache = Asked("s3-fifo", 100)
    cache.ask("abcdefghij")
    cache.ledger.discard(key("a"))
    cache.ask("aklmnopqrst")  # had a left a ghost, it would be in main now and stay
    assert "a" not in cache.cached()


def test_where_all_but_one_are_pinned_that_one_leaves() -> None:
    cache = Asked("s3-fifo", 30)
    cache.ask("abc")
    for letter in "ac":
        cache.ledger.pin(key(letter))
    cache.ask("d")
    assert cache.cached() == set("acd")


def test_where_all_are_pinned_nothing_leaves() -> None:
    cache = Asked("s3-fifo", 30)
    cache.ask("abc")
    for letter in "abc":
        cache.ledger.pin(key(letter))
    assert not cache.ledger.fill({key("d"): 10}, Cause.DEMAND, Pattern.P1).admitted
    assert cache.cached() == set("abc")
