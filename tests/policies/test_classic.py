"""Each rival on short sequences whose victims its paper, or a hand, can name."""

import random

import pytest

from flstore_core.cache import Ledger
from flstore_core.cache.shadow import Shadow
from flstore_core.patterns import Pattern
from flstore_core.policies import Key, Request, make_policy


def _hits(name: str, budget: int, asked: str, sizes: dict[str, int] | None = None) -> str:
    """Ask for single letters, ten bytes each unless `sizes` says otherwise; return h and m for hits and misses."""
    known = {Key("j", 0, letter): (sizes or {}).get(letter, 10) for letter in asked}
    shadow = Shadow(Ledger(make_policy(name, budget, lambda: 0.0, random.Random(0)), budget, lambda: 0.0), known)
    found = ""
    for letter in asked:
        found += "h" if shadow.request(Request("j", "w", Pattern.P1, (Key("j", 0, letter),))).hit else "m"
    return found


@pytest.mark.parametrize(
    ("name", "asked", "found"),
    [
        # The reference string of Belady, Nelson and Shedler (CACM 1969), three frames: FIFO has nine faults, LRU ten.
        ("fifo", "123412512345", "mmmmmmmhhmmh"),
        ("lru", "123412512345", "mmmmmmmhhmmm"),
        ("lfu", "aaabbcdab", "mhhmhmmhh"),
    ],
)
def test_published_sequences(name: str, asked: str, found: str) -> None:
    assert _hits(name, 30, asked) == found


def test_fifo_shows_beladys_anomaly() -> None:
    assert _hits("fifo", 30, "123412512345").count("m") == 9
    assert _hits("fifo", 40, "123412512345").count("m") == 10


def test_gdsf_keeps_small_objects_rather_than_one_large() -> None:
    assert _hits("gdsf", 40, "Labcab", {"L": 30}) == "mmmmhh"


def test_gdsf_lets_what_was_once_popular_age() -> None:
    assert _hits("gdsf", 20, "aaa" + "bcbcdedefgfg" * 3 + "a")[-1] == "m"


def test_s3_fifo_keeps_the_used_through_a_scan_that_washes_lru_out() -> None:
    asked = "ababab" + "".join(chr(200 + number) for number in range(40)) + "ab"
    assert _hits("s3-fifo", 100, asked)[-2:] == "hh"
    assert _hits("lru", 100, asked)[-2:] == "mm"


def test_random_draws_the_same_lots_for_the_same_seed() -> None:
    asked = "abcdeabcdeabcde"
    assert _hits("random", 30, asked) == _hits("random", 30, asked)


def test_on_arrival_the_newest_is_there_before_it_is_asked_for() -> None:
    for name, hit in (("lru", False), ("lru+arrival", True)):
        ledger = Ledger(make_policy(name, 10, lambda: 0.0, random.Random(0)), 10, lambda: 0.0)
        ledger.ingest(Key("j", 0, "a"), 10)
        assert ledger.request(Request("j", "w", Pattern.P1, (Key("j", 0, "a"),))).hit is hit
