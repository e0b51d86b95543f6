"""The paper's comparison in small: the same requests on FLStore and both baselines, over a real S3 server.

Requests go one at a time, so that nobody queues, which spares the baselines. The mix is the paper's, over a short
history of ResNet18; `cloud` puts object store and cache behind `cloud-s3` and `elasticache`, for everybody.
"""

import asyncio
import multiprocessing
import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import uvloop

from flstore_core.cost import cache_hour, objstore_hour, saving
from flstore_core.patterns import Pattern
from flstore_core.units import parse_size
from loadgen.compare import Comparison
from loadgen.run.events import Ask, Event, parse_event
from loadgen.run.replay import Pace, Plan
from loadgen.run.session import Session, run_session
from loadgen.systems import Deployment, System
from loadgen.trace import TraceSettings, generate
from tests.bench.row import Row
from tests.servers import S3Server, seaweedfs

TRACE = TraceSettings(clients=16, per_round=10, rounds=3, requests=16, hours=0.15, seed=2)
SHARDS, CACHE_SIZE = 2, "768MiB"
"""Somewhat more than two rounds in all, as in the study of policies."""
REQUESTS_AN_HOUR = 60
"""Of the paper's trace: 3,000 in 50 hours."""
ROUNDS_AN_HOUR = 20
RATE, RATE_S = 3500, 4.0


def rows() -> Iterator[Row]:
    """Compare on loopback, then behind the cloud's links; then look at the generator."""
    with seaweedfs() as server:
        loopback = _compared(server, "loopback", "loopback", "loopback")
        yield from _ratios(loopback, "loopback", (0.29, 0.35))
        cloud = _compared(server, "cloud", "cloud-s3", "elasticache")
        yield from _ratios(cloud, "cloud", (0.05, 0.05))
        yield from _savings(cloud)
    yield from _generator()


def _compared(server: S3Server, name: str, store_network: str, cache_network: str) -> Mapping[System, Any]:
    deployment = Deployment(
        f"s3://bench/{name}",
        {**Deployment("").env, **server.env},
        SHARDS,
        CACHE_SIZE,
        idle_seconds=0.0,
        store_network=store_network,
        cache_network=cache_network,
    )
    comparison = Comparison(deployment, Plan(pace=Pace.SERIAL), _events, {"scenario": "bench"})
    return dict(zip(System, comparison.run(), strict=True))


def _events() -> Iterable[Event]:
    return map(parse_event, generate(TRACE))


def _ratios(results: Mapping[System, Any], network: str, targets: tuple[float, float]) -> Iterator[Row]:
    ours = results[System.FLSTORE]["requests"]["overall"]
    for system, target in zip((System.OBJSTORE, System.CACHE), targets, strict=True):
        theirs = results[system]["requests"]["overall"]
        means = f"mean {ours['mean_ms']:.0f} against {theirs['mean_ms']:.0f} ms"
        medians = f"p50 {ours['p50_ms']:.0f} against {theirs['p50_ms']:.0f}"
        tails = f"p99 {ours['p99_ms']:.0f} against {theirs['p99_ms']:.0f}"
        errors = sum(sum(result["errors"].values()) for result in results.values())
        note = f"{means}, {medians}, {tails}; ResNet18, {ours['count']} requests, {errors} errors"
        yield Row(f"paper_mix_vs_{system}_{network}", ours["mean_ms"] / theirs["mean_ms"], "x", target, "lower", note)


def _savings(results: Mapping[System, Any]) -> Iterator[Row]:
    """Price an hour of the paper's trace: our requests as functions, against the machine that the baselines keep."""
    found = results[System.FLSTORE]
    asked = found["dollars"] / found["answered"]
    taken = found["costs"]["ingest"] / found["uploads"]["count"]
    closed = found["costs"]["commits"] / found["commits"]["count"]
    ours = REQUESTS_AN_HOUR * asked + ROUNDS_AN_HOUR * ((TRACE.per_round + 1) * taken + closed)
    hours = {
        System.OBJSTORE: objstore_hour().total,
        System.CACHE: cache_hour(SHARDS * parse_size(CACHE_SIZE)).total,
    }
    for system, dollars in hours.items():
        busy = results[system]["dollars"] / results[system]["answered"] * REQUESTS_AN_HOUR
        note = (
            f"${ours:.5f} an hour of the paper's trace, all ingest and statistics included, against ${dollars:.3f}; "
            f"{100 * saving(ours, busy):.2f} % where the machine is paid for busy seconds alone (${busy:.5f})"
        )
        yield Row(f"cost_saving_vs_{system}", 100 * saving(ours, dollars), "%", 98.83, "higher", note)


def _generator() -> Iterator[Row]:
    """Ask a server that answers at once, from a process of its own, as fast as the trace says."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(listening,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    listening.close()
    try:
        run_session(Session(url, Plan()), _small_asks(0.5))
        result = run_session(Session(url, Plan()), _small_asks(RATE_S))
    finally:
        server.terminate()
        server.join()
    lag = result["lag"]["p99_ms"]
    note = f"sent {lag:.2f} ms late (p99; at most 2), due at {RATE}/s, {sum(result['errors'].values())} errors"
    yield Row("loadgen_rps", result["rate_per_s"], "1/s", 3000.0, "higher", note)
    yield Row("loadgen_lag_p99_ms", lag, "ms", 2.0, note=f"at {RATE} requests a second")


def _small_asks(seconds: float) -> Iterator[Event]:
    keys = ((1, "metadata"),)
    return (Ask(index / RATE, "j", "metrics", Pattern.P4, keys) for index in range(round(RATE * seconds)))


def _serve(listening: socket.socket) -> None:
    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(_Answers, sock=listening)
        await server.serve_forever()

    uvloop.run(forever())


class _Answers(asyncio.Protocol):
    """Answers every request alike."""

    _BODY = b'{"workloads": [{"name": "metrics", "parameters": {}}], "execution": {"hits": 1, "misses": 0}}'
    _REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._REPLY)
