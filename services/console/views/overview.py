"""All of it at a glance: jobs and how they go, open rounds as they fill, memory, what was saved, what happened."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nicegui import ui

from flstore_core.client.async_client import AsyncFLStore
from flstore_core.client.results import JobInfo
from flstore_core.errors import NotFound
from flstore_core.presentation.words import counted, listed
from services.console import links
from services.console.parts import caching, charts, live, numbers, spending, states, tables, training
from services.console.parts.elements import block, facts, heading, link, name_link, section, text
from services.console.parts.pictures import picture

DRAWN = 12
"""Jobs that are drawn; all further ones are in a table."""
POINTS = 60
OPEN = 3
"""Open rounds of a job that are drawn; how many more there are is said."""
EVENTS = 15


@dataclass(frozen=True)
class OpenRound:
    """A round that fills."""

    job: str
    number: int
    updates: int
    expected: int


@dataclass(frozen=True)
class Now:
    """What changes while somebody looks."""

    filling: Sequence[OpenRound]
    waiting: int
    """Open rounds that are not drawn."""
    cache: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]


async def show(gateway: AsyncFLStore, parameters: Mapping[str, str]) -> None:
    """Draw the view."""
    jobs, cost, now = await asyncio.gather(gateway.jobs(), gateway.cost(), look(gateway))
    going = await asyncio.gather(*(_going(gateway, job) for job in jobs[:DRAWN]))
    with block("div", "columns"):
        with block("div"):
            with section("Jobs"):
                draw_jobs(jobs, going)
            with section("Saved"):
                draw_saved(cost.raw)
        changing = block("div")
    draw_now(changing, now)

    async def again() -> bool:
        nonlocal now
        newer = await look(gateway)
        if _shown(newer) != _shown(now):
            draw_now(changing, newer)
        now = newer
        return True

    live.refresh(again)


async def look(gateway: AsyncFLStore) -> Now:
    """Return what changes; no shard is asked that is at zero."""
    jobs, cache, events = await asyncio.gather(gateway.jobs(), gateway.cache(), gateway.events(EVENTS))
    filling = [(job, number) for job in jobs[:DRAWN] for number in job.open[-OPEN:]]
    rounds = await asyncio.gather(*(_filling(gateway, job, number) for job, number in filling))
    waiting = sum(len(job.open) for job in jobs) - len(filling)
    return Now([each for each in rounds if each], waiting, cache.raw, events.raw["events"])


async def _filling(gateway: AsyncFLStore, job: JobInfo, number: int) -> OpenRound | None:
    try:
        info, record = await asyncio.gather(gateway.job(job.job), gateway.round(job.job, number))
    except NotFound:  # deleted meanwhile
        return None
    return OpenRound(job.job, number, len(record.members), info.clients_per_round or 0)


async def _going(gateway: AsyncFLStore, job: JobInfo) -> Mapping[str, Sequence[float | None]]:
    try:
        return training.headlines((await gateway.metrics(job.job, points=POINTS)).raw)
    except NotFound:
        return {}


def draw_jobs(jobs: Sequence[JobInfo], going: Sequence[Mapping[str, Sequence[float | None]]]) -> None:
    if not jobs:
        states.empty(
            "No jobs yet",
            "A job is one training: create it with a client, or run `flstore demo --keep` to see one. With a token, "
            "only its jobs are shown.",
        )
        return
    for job, series in zip(jobs, going, strict=False):
        _draw_job(job, series)
    if further := jobs[DRAWN:]:
        heading("Further jobs", 3)
        rows = [
            [tables.Link(job.job, links.job(job.job)), job.committed, len(job.open), job.clients] for job in further
        ]
        tables.table(["job", "rounds", "open", "clients"], rows, label="further jobs")


def _draw_job(job: JobInfo, series: Mapping[str, Sequence[float | None]]) -> None:
    with block("div", "job"):
        with block("h3"):
            name_link(job.job, links.job(job.job))
        clients = counted(job.clients or 0, "client")
        update = numbers.format_size(job.nbytes)
        text(f"{counted(job.committed, 'round')}, {clients}, {update} an update", "p", "note")
        with block("div", "sparks"):
            for name, values in series.items():
                now = numbers.shown(training.newest(values))
                with block("div"):
                    text(f"{name} {now}", "p")
                    picture(charts.sparkline(values), f"{name} over the rounds, now {now}", 48)


def draw_saved(cost: Mapping[str, Any]) -> None:
    """Draw what the same requests would have cost elsewhere."""
    total = spending.compared(cost["days"])
    if not total.requests:
        states.empty("Nothing was asked yet", "Ask something: what it cost is compared with both baselines.")
        return
    facts(
        {
            "here": numbers.dollars(total.dollars),
            "beside an object store": numbers.factor(total.dollars, total.objstore),
            "beside an in-memory cache": numbers.factor(total.dollars, total.cache),
        }
    )
    since = numbers.instant(cost["since"])
    with block("p", "note"):
        text(f"{counted(total.requests, 'question')} that this gateway answered since {since}. ")
        link("By kind and day", links.COST)


def draw_now(place: ui.element, now: Now) -> None:
    """Draw what changes, in place of what was there."""
    place.clear()
    with place:
        if now.filling or now.waiting:
            with section("Open rounds"):
                _draw_open(now)
        with section("Memory"):
            _draw_memory(now.cache)
        with section("Lately"):
            _draw_events(now.events)


def _draw_open(now: Now) -> None:
    for each in now.filling:
        with block("p"):
            name_link(each.job, links.job(each.job))
            text(", ")
            link(f"round {each.number}", links.round_(each.job, each.number))
            text(f": {each.updates} of about {counted(each.expected, 'update')}")
        bar = block("progress").props(f"max={max(each.expected, each.updates, 1)} value={each.updates}")
        bar.props["aria-label"] = f"updates of round {each.number}"
    if now.waiting:
        text(f"and {counted(now.waiting, 'open round')} more", "p", "note")


def _draw_memory(cache: Mapping[str, Any]) -> None:
    backends = caching.backends(cache)
    rows = [
        [
            each.name,
            each.state,
            each.starts,
            "-" if each.used_bytes is None else numbers.format_size(each.used_bytes),
            "-" if each.budget_bytes is None else numbers.format_size(each.budget_bytes),
        ]
        for each in backends
    ]
    tables.table(["shard or predictor", "state", "starts", "held", "of"], rows, label="shards and predictors")
    gateway = cache["gateway"]
    held, budget = numbers.format_size(gateway["used_bytes"]), numbers.format_size(gateway["budget_bytes"])
    text(f"The gateway holds {held} of {budget}: records and statistics.", "p")
    awake = [each.inventory for each in backends if each.inventory]
    rates = caching.by_pattern([gateway, *awake])
    heading("Requests that found all in memory", 3)
    facts({name: numbers.percent(rate) for name, rate in rates.items()})
    with block("p"):
        link("What lies where, and why", links.CACHES)


def _draw_events(events: Sequence[Mapping[str, Any]]) -> None:
    if not events:
        states.empty("Nothing happened since the gateway was started", "Commit a round, or ask something.")
        return
    with block("ul", "events"):
        for event in events:
            with block("li"):
                text(numbers.instant(event["at"]), "time", "note")
                _draw_event(event)


def _draw_event(event: Mapping[str, Any]) -> None:
    if event["kind"] == "woke":
        text(f" {event['shard']} woke in {numbers.seconds(event['seconds'])}; it had ended: {event['reason']}")
        return
    text(" ")
    link(f"{event['job']}, round {event['round']}", links.round_(event["job"], event["round"]))
    text(" was committed" if event["kind"] == "committed" else f": {listed(event['clients'])} accused")


def _shown(now: Now) -> tuple[object, ...]:
    """Return what of a look is drawn: clocks that run on are not."""
    backends = [(each.name, each.state, each.starts, each.used_bytes) for each in caching.backends(now.cache)]
    gateway = now.cache["gateway"]
    return now.filling, now.waiting, backends, gateway["used_bytes"], gateway["overall"], now.events
