"""Excerpts of traces, and what a player sends of them."""

import json
from collections.abc import Mapping
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flstore_core.client import Fields
from flstore_core.errors import InvalidParameters, Unavailable
from flstore_core.ids import METADATA
from flstore_core.patterns import Pattern
from flstore_core.simulator import Trace, read_trace
from flstore_core.simulator.events import Committed, Created, Requested
from loadgen.replay import hit_rates
from loadgen.replay.excerpt import WORKLOAD, cut, split_by_backend, timed
from loadgen.replay.hit_rates import HitRates, compare
from loadgen.replay.player import Moment, Player, inventories, live_counts
from tests.fakes.clock import Clock


def trace(*, bytes_each: int = 40_000, rounds: int = 2) -> Trace:
    """Return rounds of two clients, a minute apart, each followed by a request of P2 and one of P4."""
    lines: list[dict[str, Any]] = []
    for number in range(rounds):
        t = 60.0 * number
        named = {"job": "j", "round": number}
        lines += [{"t": t, "event": "update", **named, "client": c, "bytes": bytes_each} for c in ("a", "b")]
        lines.append({"t": t + 10, "event": "commit", **named, "aggregate_bytes": bytes_each})
        for pattern, workload, members in (("P2", "audit", ["a", "b"]), ("P4", "dashboard", ["metadata"])):
            keys = [{"round": number, "client": member} for member in members]
            asked = {"job": "j", "workload": workload, "pattern": pattern, "keys": keys}
            lines.append({"t": t + 20, "event": "request", **asked})
    return read_trace(json.dumps(line) for line in lines)


def test_the_docstrings_example() -> None:
    lines = [
        {"t": 0.0, "event": "update", "job": "j", "round": 0, "client": str(c), "bytes": 40_000_000} for c in range(10)
    ]
    excerpt = cut(read_trace(json.dumps(line) for line in lines), 3600.0, Fraction(1, 1000))
    assert excerpt.model_bytes == 40_000
    assert excerpt.budget(2) == 880_000
    assert excerpt.original_budget(2) == 880_000_000


def test_only_the_first_seconds_are_kept() -> None:
    excerpt = cut(trace(rounds=3), 70.0, Fraction(1, 1))
    assert {event.t for event in excerpt.trace.events} == {0.0, 10.0, 20.0, 60.0, 70.0}
    assert excerpt.clients_per_round == 2


def test_models_shrink_and_metadata_does_not() -> None:
    original = trace()
    excerpt = cut(original, 3600.0, Fraction(1, 100))
    sizes = {event.key.client: event.size for event in excerpt.trace.events if isinstance(event, Created)}
    assert sizes["a"] == sizes["aggregate"] == 400
    metadata = {e.size for e in original.events if isinstance(e, Created) and e.key.client == METADATA}
    assert {sizes[METADATA]} == metadata
    assert excerpt.original.sizes == original.sizes


def test_a_model_has_at_least_one_parameter() -> None:
    assert cut(trace(), 3600.0, Fraction(1, 10**9)).model_bytes == 4


def test_times_and_workload_are_those_of_the_replay() -> None:
    excerpt = cut(trace(rounds=1), 3600.0, Fraction(1, 1))
    times = [float(index) for index in range(len(excerpt.trace.events))]
    replayed = timed(excerpt, times)
    assert [event.t for event in replayed.events] == times
    requests = [event.request for event in replayed.events if isinstance(event, Requested)]
    assert {request.workload for request in requests} == {WORKLOAD}
    assert [request.pattern for request in requests] == [Pattern.P2, Pattern.P4]


def test_a_shard_sees_models_and_the_gateway_metadata_and_both_every_commit() -> None:
    whole = trace()
    shard, gateway = split_by_backend(whole)
    assert {e.key.client for e in gateway.events if isinstance(e, Created)} == {METADATA}
    assert {e.request.pattern for e in gateway.events if isinstance(e, Requested)} == {Pattern.P4}
    assert {e.request.pattern for e in shard.events if isinstance(e, Requested)} == {Pattern.P2}
    commits = [event for event in whole.events if isinstance(event, Committed)]
    for part in (shard, gateway):
        assert [event for event in part.events if isinstance(event, Committed)] == commits
    assert len(shard.events) + len(gateway.events) == len(whole.events) + len(commits)


class Client:
    """An FLStore that remembers its calls; its shards prefetch for a few looks after each."""

    def __init__(self, looks: int = 0) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._looks = looks
        self._due = 0

    def _called(self, *call: Any) -> None:
        assert self._due == 0, "an event is sent only when nothing is being prefetched"
        self.calls.append(call)
        self._due = self._looks

    def create_job(self, job: str, **settings: Any) -> None:
        self.calls.append(("create", job, settings["like"]["weight"].size, settings["statistics"], settings["slices"]))

    def put_update(self, job: str, number: int, client: str, model: Mapping[str, Any], metrics: Any) -> None:
        assert np.all(model["weight"] == 1 + number), "a model's values say its round"
        self._called("update", number, client)

    def put_aggregate(self, job: str, number: int, model: Mapping[str, Any]) -> None:
        self._called("aggregate", number)

    def commit(self, job: str, number: int) -> None:
        self._called("commit", number)

    def run_anew(self, job: str, workload: str, **params: Any) -> None:
        self._called(workload, params)

    def cache(self) -> Fields:
        due, self._due = self._due, max(0, self._due - 1)
        inventory = {"prefetches_due": due % 2, "event_s": float(len(self.calls))}
        shards = [{"shard": "s", "inventory": inventory}, {"shard": "z"}]
        return Fields({"gateway": {"slices_due": due // 2}, "shards": shards})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("loadgen.replay.player.time", SimpleNamespace(monotonic=clock, sleep=clock.sleep))
    return clock


def test_a_player_sends_every_event_in_order_and_at_its_time(clock: Clock) -> None:
    client = Client()
    excerpt = cut(trace(rounds=1), 3600.0, Fraction(1, 100))
    moments = Player(client, excerpt, speed=10.0).play()  # type: ignore[arg-type]
    assert client.calls == [
        ("create", "j", 100, "off", 1),
        ("update", 0, "a"),
        ("update", 0, "b"),
        ("aggregate", 0),
        ("commit", 0),
        ("norms", {"models": [{"round": 0, "client": "a"}, {"round": 0, "client": "b"}], "pattern": "P2"}),
        ("metrics", {"first": 0, "last": 0}),
    ]
    assert len(moments) == len(excerpt.trace.events)
    played = [moments[0].player, moments[-1].player]
    assert played == pytest.approx([0.0, 2.0]), "20 s of the trace are 2 s at a speed of 10"
    assert [moments[0].shard, moments[-1].shard] == [1.0, 7.0], "what the shard said after the event"


def test_a_player_waits_until_nothing_is_on_its_way_or_prefetched(clock: Clock) -> None:
    excerpt = cut(trace(rounds=1), 3600.0, Fraction(1, 100))
    Player(Client(looks=3), excerpt, speed=1e9).play()  # type: ignore[arg-type]
    assert clock.pauses.count(0.002) == 3 * 6


def test_shards_that_never_come_to_rest_are_an_error(clock: Clock) -> None:
    excerpt = cut(trace(rounds=1), 3600.0, Fraction(1, 100))
    with pytest.raises(Unavailable, match="still on their way, or prefetched, after 30 s"):
        Player(Client(looks=10**9), excerpt, speed=1e9).play()  # type: ignore[arg-type]


def caches(budget: int, **counts: tuple[int, int]) -> dict[str, Any]:
    """Return an answer of `GET /v1/cache` with one shard awake and one at zero."""
    tallies = {pattern.value: {"requests": 0, "hits": 0} for pattern in Pattern}
    tallies |= {name: {"requests": requests, "hits": hits} for name, (requests, hits) in counts.items()}
    inventory = {"budget_bytes": budget, "prefetches_due": 0, **tallies}
    return {"gateway": tallies, "shards": [{"shard": "s", "inventory": inventory}, {"shard": "zero"}]}


def test_models_are_counted_by_shards_and_metadata_by_the_gateway() -> None:
    data = caches(1, P2=(4, 3), P4=(2, 2))
    data["shards"].append({"shard": "t", "inventory": data["shards"][0]["inventory"]})
    assert len(inventories(data)) == 2
    assert live_counts(data) == {Pattern.P1: (0, 0), Pattern.P2: (8, 6), Pattern.P3: (0, 0), Pattern.P4: (2, 2)}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have excerpts be played at their own times."""
    monkeypatch.setattr(Player, "play", lambda self: [Moment(event.t, event.t) for event in self._excerpt.trace.events])


class Counted:
    """An FLStore that has counted what a test says."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data

    def cache(self) -> dict[str, Any]:
        return self._data


@pytest.mark.usefixtures("played")
def test_live_rates_stand_beside_simulated_ones() -> None:
    excerpt = cut(trace(rounds=4), 3600.0, Fraction(1, 100))
    client = Counted(caches(excerpt.budget(2), P2=(4, 4), P4=(4, 3)))
    p2, p4, every = compare(client, excerpt, 2.0, "tailored", 1.0)  # type: ignore[arg-type]
    assert (p2.name, p2.requests, p2.live, p2.simulated) == ("P2", 4, 1.0, 1.0), "the newest round is always hot"
    assert (p4.live, p4.simulated, p4.agree) == (0.75, 1.0, True), "one request of four may differ"
    assert (every.name, every.requests, every.live) == ("all", 8, 0.875)


@pytest.mark.usefixtures("played")
@pytest.mark.parametrize(
    ("counts", "budget", "message"),
    [
        ({"P2": (9, 4), "P4": (4, 4)}, 2, "the target counted 9 requests of 4; use a fresh one"),
        ({"P2": (4, 4), "P4": (4, 4)}, 3, "the target's shards have budgets of .* bytes; use one shard of"),
    ],
)
def test_a_target_that_is_not_fresh_or_of_another_size_is_refused(
    counts: dict[str, tuple[int, int]], budget: int, message: str
) -> None:
    excerpt = cut(trace(rounds=4), 3600.0, Fraction(1, 100))
    client = Counted(caches(excerpt.budget(budget), **counts))
    with pytest.raises(InvalidParameters, match=message):
        compare(client, excerpt, 2.0, "tailored", 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("requests", "live", "agree"), [(1000, 0.909, True), (1000, 0.911, False), (20, 0.85, True), (20, 0.79, False)]
)
def test_rates_agree_within_a_hundredth_or_one_request(requests: int, live: float, agree: bool) -> None:
    assert HitRates("P2", requests, live, 0.90, 0.90).agree is agree
    assert hit_rates.TOLERANCE == 0.01
