"""Shadow caches beside a live one see the same requests, change nothing, and stay small."""

from hypothesis import given
from hypothesis import strategies as st

from flstore_core.cache import Cache, Ledger
from flstore_core.cache.shadow import ENTRY_BYTES, SHARE, Shadows
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Cause, Key, Request
from flstore_core.policies.classic.lru import LRU


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
    found = cache.request(Request("job", "workload", Pattern.P1, (key(number),)))
    for missing in found.access.missing:
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
