"""Sequences whose victims a paper, or a hand, can name."""

import random

import pytest

from flstore_core.cache import Ledger
from flstore_core.patterns import Pattern
from flstore_core.policies import Key, Request, make_policy
from flstore_core.policies.registry import RIVALS
from tests.policies.classic.asking import Asked, key


@pytest.mark.parametrize(
    ("name", "asked", "expected"),
    [
        # The reference string of Belady, Nelson and Shedler (CACM 1969), three frames: FIFO has nine faults, LRU ten.
        ("fifo", "123412512345", "mmmmmmmhhmmh"),
        ("lru", "123412512345", "mmmmmmmhhmmm"),
        ("lfu", "aaabbcdab", "mhhmhmmhh"),
    ],
)
def test_published_sequences(name: str, asked: str, expected: str) -> None:
    assert Asked(name, 30).ask(asked) == expected


def test_fifo_shows_beladys_anomaly() -> None:
    """More room, more misses."""
    assert Asked("fifo", 30).ask("123412512345").count("m") == 9
    assert Asked("fifo", 40).ask("123412512345").count("m") == 10


def test_gdsf_keeps_small_objects_rather_than_one_large() -> None:
    assert Asked("gdsf", 40, {"L": 30, "a": 10, "b": 10, "c": 10}).ask("Labcab") == "mmmmhh"


def test_gdsf_lets_what_was_once_popular_age() -> None:
    assert Asked("gdsf", 20).ask("aaa" + "bcbcdedefgfg" * 3 + "a")[-1] == "m"


def test_gdsf_keeps_what_is_pinned_and_evicts_it_once_it_is_not() -> None:
    cache = Asked("gdsf", 20)
    cache.ask("ab")
    cache.ledger.pin(key("a"))
    cache.ask("c")
    assert cache.cached() == {"a", "c"}
    cache.ledger.unpin(key("a"))
    cache.ask("d")
    assert cache.cached() == {"c", "d"}


def test_lfu_starts_counting_again_when_a_key_comes_back() -> None:
    """a was used often, left, and is now the least used."""
    cache = Asked("lfu", 20)
    cache.ask("aaab")
    cache.ledger.discard(key("a"))
    cache.ask("bac")
    assert cache.cached() == {"b", "c"}


@pytest.mark.parametrize("name", RIVALS)
def test_on_arrival_the_newest_is_cached_before_it_is_requested(name: str) -> None:
    for form, hit in ((name, False), (name + "+arrival", True)):
        ledger = Ledger(make_policy(form, 10, lambda: 0.0, random.Random(0)), 10, lambda: 0.0)
        ledger.ingest(Key("j", 0, "a"), 10)
        assert ledger.request(Request("j", "w", Pattern.P1, (Key("j", 0, "a"),))).hit is hit


@pytest.mark.parametrize("name", RIVALS)
def test_the_reasons_for_people_and_for_metrics_are_words(name: str) -> None:
    cache = Asked(name, 10)
    cache.ask("ab")
    assert cache.ledger.explain(key("b")).why.startswith("demand; ")
    (reason,) = cache.ledger.eviction_reasons
    assert reason.replace("-", "").isalpha()
    assert cache.ledger.explain(key("a")).why == f"evicted: {reason}"
