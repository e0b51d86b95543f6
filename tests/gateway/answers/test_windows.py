"""Questions about more models than shards can hold at once: answered window by window, as if all had fitted."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from flstore_core.errors import InsufficientCapacity, OperationCancelled, StoreUnavailable
from flstore_core.shard.protocol import MAP, WINDOW_HEADER
from services.gateway.answers.question import Options
from tests.fakes.clock import FakeTime
from tests.fakes.engines import EngineWire
from tests.fakes.store import Call, MemoryStore
from tests.fakes.wire import Reply, Sent
from tests.gateway.answers.test_differences import of_weights
from tests.gateway.answers.twins import FLOATS, MIXED, Twins, artifacts
from tests.gateway.world import World, world
from tests.workloads.questions import assert_agree

NARROW = 8_000
"""Bytes of a shard's cache: of the slices of a round's models it holds one or two."""
SCHEMAS = {"floats": FLOATS, "mixed": MIXED}
BIT_FOR_BIT = 1e-12
"""Models come out the same to the last bit, by their hash; sums over coordinates are added up in another order."""


class Maps(EngineWire):
    """Shards with a narrow cache; notes the windows of their answers.

    Attributes:
        windows: of each answer of a map; empty for one of a whole slice.
    """

    def __init__(self, store: MemoryStore, budget: int = NARROW) -> None:
        super().__init__(store, FakeTime().monotonic, budget)
        self.windows: list[str] = []

    def __call__(self, sent: Sent) -> Reply:
        reply = super().__call__(sent)
        if sent.path == MAP:
            self.windows.append(reply.headers.get(WINDOW_HEADER, ""))
        return reply


@cache
def wide(schema: str) -> Twins:
    return Twins.of(SCHEMAS[schema])


def narrow(gateway: World, budget: int = NARROW, shards: Callable[[MemoryStore, int], Maps] = Maps) -> World:
    """Return another gateway over the same store, whose shards cannot hold a round's models at once."""
    return world(store=gateway.store, shards=shards(gateway.store, budget))


def maps_of(gateway: World) -> Maps:
    assert isinstance(gateway.shards, Maps)
    return gateway.shards


def asked() -> list[tuple[str, str, str, Mapping[str, Any]]]:
    """Return which job and schema are asked what."""
    of_aggregates = [("weights", "floats", name, params) for name, params in of_weights() if name == "aggregate"]
    return [*of_aggregates, *(("differences", "mixed", name, params) for name, params in of_weights())]


@pytest.mark.parametrize(("sent", "schema", "name", "params"), asked(), ids=str)
def test_an_answer_is_that_of_shards_that_hold_all(
    sent: str, schema: str, name: str, params: Mapping[str, Any]
) -> None:
    whole: World = getattr(wide(schema), sent)
    found, expected = narrow(whole).run(name, **params), whole.run(name, **params)
    assert_agree(found.result, expected.result, BIT_FOR_BIT)


@pytest.mark.parametrize("method", ["fedavg", "median"])
def test_an_aggregate_is_worked_through_in_windows_that_tile_the_slices(method: str) -> None:
    gateway = narrow(wide("floats").weights)
    outcome = gateway.run("aggregate", method=method, round=4)
    starts, stops = zip(*(map(int, window.split("-")) for window in maps_of(gateway).windows), strict=True)
    assert starts == (0, *stops[:-1])
    assert stops[-1] == FLOATS.parameters
    assert outcome.execution.slices == len(starts) > 2


def test_what_fits_is_asked_for_once_a_slice() -> None:
    gateway = narrow(wide("floats").weights, budget=1 << 20)
    gateway.run("aggregate", round=4)
    assert maps_of(gateway).windows == ["", ""]


@pytest.mark.parametrize("window", [1, 5, 20])
def test_a_store_that_fails_in_the_middle_fails_the_question_and_leaves_nothing_behind(window: int) -> None:
    whole = Twins.of(FLOATS).weights
    gateway = narrow(whole)
    before, reads = dict(whole.store.contents), 0

    def fail(call: Call) -> None:
        nonlocal reads
        reads += call.method == "read_into"
        if reads > 9 * window - 4:
            raise StoreUnavailable("the store is away")

    whole.store.before = fail
    with pytest.raises(StoreUnavailable, match="the store is away"):
        gateway.run("aggregate", round=4)
    assert len([window for window in maps_of(gateway).windows if window]) == window - 1
    whole.store.before = lambda call: None
    assert whole.store.contents == before
    assert_agree(gateway.run("aggregate", round=4).result, whole.run("aggregate", round=4).result, BIT_FOR_BIT)


def test_once_one_slice_has_failed_no_other_goes_on() -> None:
    gateway = narrow(wide("floats").weights)
    shards = maps_of(gateway)

    def fail(call: Call) -> None:
        if call.method == "read_into" and len(shards.windows) == 5:
            shards.windows.append("failed")
            raise StoreUnavailable("the store was away for a moment")

    gateway.store.before = fail
    with pytest.raises(StoreUnavailable, match="for a moment"):
        gateway.run("aggregate", round=4, method="median")
    gateway.store.before = lambda call: None
    assert shards.windows[5] == "failed"
    assert shards.windows[6:] == ["", "1150-1177"], "the answer that failed, and the other slice's first"


def test_an_operation_that_is_cancelled_asks_for_no_further_window() -> None:
    whole = wide("floats").weights
    gateway, progress = narrow(whole), list[tuple[int, int]]()
    before = set(artifacts(whole))

    def cancel(done: int, total: int) -> None:
        progress.append((done, total))
        if len(progress) >= 3:
            raise OperationCancelled("given up")

    with pytest.raises(OperationCancelled):
        gateway.run("aggregate", Options(progress=cancel), round=3, method="median")
    assert progress == [(27, 1150), (54, 1150), (81, 1150)]
    assert len(maps_of(gateway).windows) == 4, "three of the first slice, and the other slice's first"
    assert set(artifacts(whole)) == before


def test_less_than_one_element_of_each_model_is_refused_with_the_numbers() -> None:
    gateway = narrow(wide("floats").weights, budget=30)
    with pytest.raises(InsufficientCapacity, match=r"9 slices of 4600 bytes .* cache of 30, not even by 1000 windows"):
        gateway.run("aggregate", round=4)


def test_an_aggregate_of_an_open_round_is_the_same_file_either_way() -> None:
    stored = []
    for budget in (NARROW, 1 << 24):
        gateway = narrow(Twins.of(MIXED).differences, budget)
        stored.append(gateway.state.aggregates.make(gateway.job.id, 4, {"method": "trimmed-mean"}).result["artifact"])
    assert stored[0] == stored[1]


# Versions side by side


class Before(Maps):
    """Shards of the version before, which know no windows."""

    def __call__(self, sent: Sent) -> Reply:
        if sent.path == MAP:
            message = {name: value for name, value in sent.message.items() if name != "start"}
            sent = replace(sent, body=json.dumps(message).encode())
        return super().__call__(sent)


def test_shards_of_the_version_before_answer_what_fits_and_refuse_the_rest() -> None:
    whole = wide("floats").weights
    fits = narrow(whole, 1 << 20, Before)
    assert_agree(fits.run("aggregate", round=4).result, whole.run("aggregate", round=4).result, BIT_FOR_BIT)
    with pytest.raises(InsufficientCapacity, match="9 slices of 4600 bytes each do not fit into the shard's cache"):
        narrow(whole, NARROW, Before).run("aggregate", round=4)
