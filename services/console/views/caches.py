"""What is in memory where and why, and how other policies would have done with the same requests."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from flstore_core.client.async_client import AsyncFLStore
from flstore_core.errors import InvalidParameters
from flstore_core.ids import MAX_ROUND
from flstore_core.presentation.words import spans
from flstore_core.units import parse_natural
from services.console import links
from services.console.parts import caching, charts, colours, numbers, states, tables
from services.console.parts.caching import Backend
from services.console.parts.elements import block, facts, heading, link, section, text
from services.console.parts.page import prefix
from services.console.parts.pictures import picture

MOST_SLICES = 200
"""Slices of a job that are drawn."""
MOST_JOBS = 60
"""Jobs whose slices are offered to be drawn."""


async def show(gateway: AsyncFLStore, parameters: Mapping[str, str]) -> None:
    """Draw the view; the address says whose slices are drawn (`job`), and what is explained (`round`, `client`, …)."""
    cache, placement = await asyncio.gather(gateway.cache(), gateway.placement())
    backends = caching.backends(cache.raw)
    awake = [each.inventory for each in backends if each.inventory]
    if not backends:
        states.empty("No shards yet", "The placement controller makes some for the first job.")
        return
    with section("Shards and predictors", "Looking wakes none of them."):
        draw_backends(backends)
    with block("div", "columns"):
        with section(
            "Hits beside other policies",
            "Each shard plays other policies on the same requests, with keys and sizes alone.",
        ):
            draw_rivals(awake)
        with section("Evictions"):
            draw_evictions(awake)
    with section("Slices on shards"):
        draw_slices(placement.raw, parameters.get("job"))
    with section("Why is it there?", "A part of an update, or of a round's model, on the shards that own it."):
        draw_form(parameters)
        if parameters.get("round") and parameters.get("client"):
            await _explain(gateway, parameters)


def draw_backends(backends: Sequence[Backend]) -> None:
    rows = [[each.name, each.state, each.starts, *_held(each)] for each in backends]
    columns = [
        "name",
        "state",
        "starts",
        "policy",
        "held",
        "of",
        "objects",
        *caching.PATTERNS.values(),
        "evictions",
        "jobs",
    ]
    tables.table(columns, rows, label="shards and predictors")


def _held(backend: Backend) -> list[tables.Cell]:
    """Return the cells of what a backend holds; empty for one that cannot be asked."""
    inventory = backend.inventory
    if not inventory:
        return [None] * (6 + len(caching.PATTERNS))
    rates = caching.by_pattern([inventory])
    jobs = ", ".join(f"{job}: rounds {spans(held['rounds'])}" for job, held in inventory.get("jobs", {}).items())
    return [
        inventory["policy"],
        tables.Figure(inventory["used_bytes"], numbers.format_size(inventory["used_bytes"])),
        tables.Figure(inventory["budget_bytes"], numbers.format_size(inventory["budget_bytes"])),
        inventory["objects"],
        *(None if rate is None else tables.Figure(rate, numbers.percent(rate)) for rate in rates.values()),
        inventory["overall"]["evictions"],
        jobs or None,
    ]


def draw_rivals(awake: Sequence[Mapping[str, Any]]) -> None:
    if not awake:
        states.empty("No shard is awake", "Ask something that needs updates, such as an aggregate, and look again.")
        return
    rates = {name: rate for name, rate in caching.rivals(awake).items() if rate is not None}
    if not rates:
        states.empty("No requests yet", "Ask something that needs updates, such as an aggregate.")
        return
    percents = [round(100 * rate, 1) for rate in rates.values()]
    ours, *_ = rates
    label = f"Hit rates: {ours}, in use here, {percents[0]} %; " + ", ".join(
        f"{name} {rate} %" for name, rate in list(zip(rates, percents, strict=True))[1:]
    )
    picture(charts.bars(list(rates), {"hits": percents}, y_name="% of requests"), label)
    facts(
        {
            (f"{name} (in use)" if name == ours else name): f"{rate} %"
            for name, rate in zip(rates, percents, strict=True)
        }
    )


def draw_evictions(awake: Sequence[Mapping[str, Any]]) -> None:
    counts = caching.evictions(awake)
    if not counts:
        text("Nothing was evicted by the shards that are awake.", "p", "note")
        return
    tables.table(["reason", "objects"], list(counts.items()), label="evictions by reason")


def draw_slices(placement: Mapping[str, Any], chosen: str | None) -> None:
    """Draw which shards hold which slices of a job; without a choice of the first."""
    jobs = placement["jobs"]
    if not jobs:
        states.empty("No job has a place yet", "It gets one with its first update.")
        return
    job = chosen if chosen is not None and chosen in jobs else next(iter(jobs))
    with block("p", "choices wrapped"):
        for name in list(jobs)[:MOST_JOBS]:
            entry = link(name, links.with_query(links.CACHES, {"job": name}))
            if name == job:
                entry.props["aria-current"] = "true"
    shards, owners = list(placement["shards"]), jobs[job]["owners"][:MOST_SLICES]
    cells = [
        (column, shards.index(shard), float(rank))
        for column, slice_ in enumerate(owners)
        for rank, shard in enumerate(slice_)
        if shard in shards
    ]
    replicas = max((len(each) for each in owners), default=1)
    options = charts.heat(
        [f"slice {number}" for number in range(len(owners))],
        shards,
        cells,
        low=0.0,
        high=float(max(replicas - 1, 1)),
        name="asked first … last",
        scale=(colours.CATEGORIES[0], colours.CATEGORIES[5]),
    )
    heading(job, 3)
    picture(options, f"{len(owners)} slices of {job} on {len(shards)} shards", 110 + 26 * len(shards))
    held = {shard: [number for number, each in enumerate(owners) if shard in each] for shard in shards}
    facts({shard: f"slices {spans(numbers_)}" if numbers_ else "none" for shard, numbers_ in held.items()})


def draw_form(parameters: Mapping[str, str]) -> None:
    """Draw the form that leads to an explanation: its address is that of the answer."""
    with block("form", "why").props(f'method=get action="{prefix()}{links.CACHES}"'):
        for name in ("job", "round", "client", "slice"):
            with block("div"):
                text(name, "label").props(f"for=why-{name}")
                field = block("input").props(f"id=why-{name} name={name} autocomplete=off")
                field.props["value"] = parameters.get(name, "0" if name == "slice" else "")
        text("Explain", "button", "primary").props("type=submit")


async def _explain(gateway: AsyncFLStore, parameters: Mapping[str, str]) -> None:
    number, piece = (parse_natural(parameters.get(name) or "0", MAX_ROUND) for name in ("round", "slice"))
    if number is None or piece is None:
        raise InvalidParameters(f"round and slice are whole numbers from 0 to {MAX_ROUND}")
    why = await gateway.explain(parameters.get("job", ""), number, parameters["client"], piece)
    rows = [[each["shard"], each["cached"], each["why"], each["pinned"]] for each in why.raw["shards"]]
    tables.table(["shard", "in memory", "why", "pinned"], rows, label="why it is there")
