"""Shadow caches see the same requests as a live one, change nothing, and stay small."""

import random

from hypothesis import given
from hypothesis import strategies as st

from flstore_core.cache import Cache, Ledger
from flstore_core.cache.shadow import ENTRY_BYTES, SHARE, Shadow, Shadows
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Cause, Key, Request
from flstore_core.policies.classic.lru import LRU
from flstore_core.policies.registry import make_policy
from tests.fakes.clock import Clock


class Blob:
    """A value of a megabyte."""

    nbytes = 1_000_000


BUDGET = 5_000_000


def key(number: int) -> Key:
    return Key("job", number, "client-0", 0)


def lru_beside_lru() -> Cache[Blob]:
    rivals = Shadows({"shadow": LRU(True)}, BUDGET, lambda: 0.0)
    return Cache(Ledger(LRU(True), BUDGET, lambda: 0.0), rivals)


def ask(cache: Cache[Blob], number: int) -> None:
    lookup = cache.request(Request("job", "workload", Pattern.P1, (key(number),)))
    for missing in lookup.access.missing:
        cache.fill({missing: Blob()}, Cause.DEMAND, Pattern.P1)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), max_size=60))
def test_a_shadow_with_the_policy_in_charge_counts_what_the_cache_counts(events: list[tuple[bool, int]]) -> None:
    cache = lru_beside_lru()
    known: set[int] = set()
    for arrives, number in events:
        if arrives and number not in known:
            cache.ingest(key(number), Blob())
            known.add(number)
        elif number in known:
            ask(cache, number)
    snapshot = cache.snapshot()
    assert snapshot["shadows"]["shadow"]["P1"]["hits"] == snapshot["P1"]["hits"]
    assert snapshot["shadows"]["shadow"]["P1"]["requests"] == snapshot["P1"]["requests"]


def test_a_shadow_counts_what_its_policy_would_have_hit() -> None:
    sizes = {Key("j", number, "a"): 10 for number in range(3)}
    shadow = Shadow(Ledger(LRU(), 20, lambda: 0.0), sizes)
    for number in (0, 1, 0, 2, 1):
        shadow.request(Request("j", "w", Pattern.P2, (Key("j", number, "a"),)))
    assert shadow.ledger.overall().hits == 1
    assert shadow.ledger.used == 20


def test_a_key_whose_size_nobody_knows_weighs_nothing() -> None:
    shadow = Shadow(Ledger(LRU(), 20, lambda: 0.0), {})
    shadow.request(Request("j", "w", Pattern.P2, (Key("j", 0, "a"),)))
    assert (len(shadow.ledger), shadow.ledger.used) == (1, 0)


def test_a_shadow_prefetches_by_itself() -> None:
    clock = Clock()
    policy = make_policy("tailored", 30, clock, random.Random(0))
    keys = {Key("j", number, client): 10 for number in (0, 1) for client in "ab"}
    shadow = Shadow(Ledger(policy, 30, clock), keys)
    for number in (0, 1):
        for key in keys:
            if key.round == number:
                shadow.ingest(key, 10)
        clock.now += 60.0
        shadow.ledger.discard(Key("j", number, "a"))
        shadow.commit("j", number)
    assert shadow.ledger.overall().prefetches > 0
    assert Key("j", 1, "a") in shadow.ledger


def test_the_shadows_of_a_cache_learn_of_commits_and_erasures() -> None:
    cache = lru_beside_lru()
    for number in (0, 1):
        cache.ingest(key(number), Blob())
    cache.commit("job", 0)
    cache.discard(key(0))
    ask(cache, 0)
    counters = cache.snapshot()["shadows"]["shadow"]
    assert (counters["P1"]["hits"], counters["P2"]["evictions"]) == (0, 1)


def test_the_size_that_was_learned_first_is_forgotten_first() -> None:
    """With room for six sizes, the first key's is gone, so its miss weighs nothing in the shadow."""
    entries = 12
    budget = int(entries * ENTRY_BYTES / SHARE)
    shadows = Shadows({"lru": LRU()}, budget, lambda: 0.0)
    for number in range(7):
        shadows.learn({key(number): 1000})
    for number in (0, 6):
        shadows.request(Request("job", "w", Pattern.P1, (key(number),)))
    assert shadows.snapshot()["lru"]["P1"]["bytes_missed"] == 1000


def test_shadows_end_before_their_bookkeeping_outgrows_its_share() -> None:
    most = int(SHARE * BUDGET / ENTRY_BYTES)
    cache = lru_beside_lru()
    for number in range(most // 2):
        cache.ingest(key(number), Blob())
    assert cache.snapshot()["shadows"]
    tiny = Shadows({"lru": LRU(True)}, BUDGET, lambda: 0.0)
    for number in range(most // 2 + 2):
        tiny.ingest(key(number), 1)
    assert tiny.snapshot() == {}


def test_shadows_forget_what_the_cache_forgets() -> None:
    cache = lru_beside_lru()
    cache.ingest(key(1), Blob())
    cache.discard_job("job")
    ask(cache, 1)
    shadow = cache.snapshot()["shadows"]["shadow"]["P1"]
    assert (shadow["requests"], shadow["hits"]) == (1, 0)
