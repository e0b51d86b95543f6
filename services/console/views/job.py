"""One training: how it goes, who took part when, how it is kept, and what its model is made of."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

from flstore_core.client.async_client import AsyncFLStore
from flstore_core.client.results import JobInfo, RoundInfo
from flstore_core.errors import FLStoreError
from flstore_core.presentation.words import counted, listed
from flstore_core.schema import ITEMSIZE
from services.console import links
from services.console.parts import charts, colours, numbers, states, tables, training
from services.console.parts.elements import block, facts, heading, link, section, text
from services.console.parts.pictures import picture

POINTS = 200
COLUMNS = 60
ROWS = 40
METRICS = 6
"""Metrics that are drawn; the names of further ones are said."""
JUDGED = 20
"""Newest rounds whose clients are judged for the map: each is a question of its own."""
PRESENCE: Final = "participation"
ACCUSED: Final = "accusation"
CONTRIBUTED: Final = "contribution"


@dataclass(frozen=True)
class Map:
    """Clients by rounds, as they are drawn."""

    clients: Sequence[str]
    rounds: Sequence[int]
    cells: Sequence[tuple[int, int, float | None]]
    """Column, row, value; what has no value is not in it."""
    by: str
    low: float
    high: float
    words: str
    """What a colour means."""
    participations: Sequence[int]
    """Of each client, in the rounds that are drawn."""
    next: str | None
    """The client after which the next page begins."""
    total: int


async def show(gateway: AsyncFLStore, parameters: Mapping[str, str]) -> None:
    """Draw the view; `by` in the address says what the map is coloured by, `after` where its page begins."""
    job = parameters["job"]
    by, after = parameters.get("by", PRESENCE), parameters.get("after", "")
    info, rounds, overview = await asyncio.gather(
        gateway.job(job), gateway.rounds(job), gateway.metrics(job, points=POINTS)
    )
    draw_settings(info)
    if not rounds:
        states.empty("No rounds yet", f"Store the first update: PUT /v1/jobs/{job}/rounds/0/clients/NAME.")
    else:
        draw_metrics(overview.raw)
        participation = await read_map(gateway, job, rounds, by, after)
        draw_map(job, participation, [PRESENCE, *sorted(overview.raw["metrics"], key=training.worth)[:METRICS]])
        draw_rounds(job, rounds)
    draw_schema(info)


def draw_settings(info: JobInfo) -> None:
    kept = "every round's, exact" if info.statistics == "exact" else "none"
    slices = (info.placement or {}).get("slices", info.slices)
    with section("How it is kept"):
        facts(
            {
                "rounds": f"{info.committed} committed, {len(info.open)} open",
                "clients": info.clients,
                "expected a round": info.clients_per_round,
                "an update": f"{info.parameters:,} parameters, {numbers.format_size(info.nbytes)}",
                "updates are": "differences" if info.updates == "delta" else "models",
                "statistics": kept,
                "in memory": f"the newest {counted(info.hot_rounds or 0, 'round')}",
                "slices": "-" if slices is None else f"{slices}, each on {counted(info.replicas or 1, 'shard')}",
                "created": numbers.instant(info.created_at),
            }
        )
        with block("p", "choices"):
            link("Ask about it", links.ask(job=info.job))
            link("Where it lies", links.with_query(links.CACHES, {"job": info.job}))
            link("What it cost", links.with_query(links.COST, {"job": info.job}))


def draw_metrics(overview: Mapping[str, Any]) -> None:
    rounds, per_point = overview["rounds"], overview["per_point"]
    note = f"A point stands for {counted(per_point, 'round')}." if per_point > 1 else ""
    with section("Over the rounds", note):
        own = {name: values for name, values in overview["round_metrics"].items() if training.any_number(values)}
        spread = sorted(overview["metrics"], key=training.worth)
        if not own and not spread:
            states.empty("No metrics", "Send some with updates (`metrics=` of `put_update`) or with commits.")
        with block("div", "columns"):
            for name in sorted(own, key=training.worth)[:METRICS]:
                _draw_line(rounds, name, own[name])
            for name in spread[:METRICS]:
                _draw_spread(rounds, name, overview["metrics"][name])
        if len(spread) > METRICS:
            text(f"Not drawn: {listed(spread[METRICS:])}.", "p", "note")


def _draw_line(rounds: Sequence[int], name: str, values: Sequence[float | None]) -> None:
    now = numbers.shown(training.newest(values))
    with block("div"):
        heading(f"{name} of the rounds: {now}", 3)
        picture(charts.lines(rounds, {name: values}), f"{name} with which rounds were committed, at last {now}", 220)


def _draw_spread(rounds: Sequence[int], name: str, spread: training.Series) -> None:
    now = numbers.shown(training.newest(spread["p50"]))
    options = charts.band(
        rounds, spread["p10"], spread["p50"], spread["p90"], name="median", between="80 % of the clients"
    )
    with block("div"):
        heading(f"{name} of the clients: {now}", 3)
        picture(options, f"{name} over the rounds: the median client and the middle 80 %, at last {now}", 220)


async def read_map(gateway: AsyncFLStore, job: str, rounds: Sequence[RoundInfo], by: str, after: str) -> Map:
    """Return the map of participations, coloured by what was chosen."""
    if by in (ACCUSED, CONTRIBUTED):
        committed = [each.round for each in rounds if each.committed][-JUDGED:]
        verdicts = await asyncio.gather(*(_judge(gateway, job, number, by) for number in committed))
        page = await gateway.participation(job, first=committed[0] if committed else 0, rows=ROWS, after=after or None)
        return judged(page.raw, committed, verdicts, by)
    metric = None if by == PRESENCE else by
    page = await gateway.participation(job, columns=COLUMNS, rows=ROWS, after=after or None, metric=metric)
    return mapped(page.raw)


async def _judge(gateway: AsyncFLStore, job: str, number: int, by: str) -> Mapping[str, float]:
    """Return a number for each client of a round; none where the question cannot be answered."""
    try:
        if by == ACCUSED:
            answer = await gateway.run(job, "malicious-filter", round=number)
            return {each["client"]: float(each["malicious"]) for each in answer.raw["result"]["verdicts"]}
        answer = await gateway.run(job, "contribution", round=number)
        return {each["client"]: each["value"] for each in answer.raw["result"]["contributions"]}
    except FLStoreError:
        return {}


def mapped(page: Mapping[str, Any]) -> Map:
    """Return the map of a page of participations: coloured by its metric, or by the share of rounds taken part in."""
    metric, per_column = page["metric"], page["per_column"]
    cells = [
        (column, row, value if metric else count / per_column)
        for row, counts in enumerate(page["counts"])
        for column, count in enumerate(counts)
        if count and (value := page["values"][row][column] if metric else count) is not None
    ]
    low, high = _ends([value for *_, value in cells]) if metric else (0.0, 1.0)
    words = f"mean {metric}" if metric else "share of a column's rounds in which the client took part"
    return Map(
        page["clients"],
        page["rounds"],
        cells,
        metric or PRESENCE,
        low,
        high,
        words,
        page["participations"],
        page["next"],
        page["total"],
    )


def judged(page: Mapping[str, Any], rounds: Sequence[int], verdicts: Sequence[Mapping[str, float]], by: str) -> Map:
    """Return the map of a page's clients over some rounds, coloured by what was found of each."""
    found = {
        (round_, client): value for round_, each in zip(rounds, verdicts, strict=True) for client, value in each.items()
    }
    cells = [
        (column, row, found[number, client])
        for row, client in enumerate(page["clients"])
        for column, number in enumerate(rounds)
        if (number, client) in found
    ]
    low, high = (0.0, 1.0) if by == ACCUSED else _ends([value for *_, value in cells])
    words = "1 is accused, 0 is not" if by == ACCUSED else "contribution to the round's step"
    newest = f"{words}; the newest {counted(len(rounds), 'round')}"
    took_part = page["participations"]
    return Map(page["clients"], rounds, cells, by, low, high, newest, took_part, page["next"], page["total"])


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return (min(values), max(values)) if values else (0.0, 1.0)


def draw_map(job: str, drawn: Map, choices: Sequence[str]) -> None:
    """Draw who took part when, and links to the same map in other colours."""
    with section("Who took part when", f"Colour: {drawn.words}."):
        with block("p", "choices wrapped"):
            for choice in [*choices, ACCUSED, CONTRIBUTED]:
                entry = link(choice, links.with_query(links.job(job), {"by": choice}))
                if choice == drawn.by:
                    entry.props["aria-current"] = "true"
        if not drawn.cells:
            states.empty("Nothing to draw", "No round is committed, or no client sent this.")
            return
        columns = [f"{number}" for number in drawn.rounds]
        scale = (colours.CATEGORIES[5], colours.BAD) if drawn.by == ACCUSED else colours.SCALE
        options = charts.heat(
            columns, drawn.clients, drawn.cells, low=drawn.low, high=drawn.high, name=drawn.by, scale=scale
        )
        shown, total = len(drawn.clients), counted(drawn.total, "client")
        picture(
            options,
            f"{shown} of {total} by {counted(len(columns), 'column')} of rounds, {drawn.words}",
            120 + 18 * shown,
        )
        with block("p", "choices wrapped"):
            text(f"{shown} of {total}", classes="note")
            if drawn.next is not None:
                link("Next clients", links.with_query(links.job(job), {"by": drawn.by, "after": drawn.next}))
            _draw_accused(job, drawn)
    with section("Clients"):
        pairs = zip(drawn.clients, drawn.participations, strict=True)
        rows = [[tables.Link(client, links.client(job, client)), count] for client, count in pairs]
        tables.table(["client", "rounds of the map with it"], rows, label="clients", page=10)


def _draw_accused(job: str, drawn: Map) -> None:
    """Say in words what the map of accusations shows in colours."""
    if drawn.by != ACCUSED:
        return
    accused = dict.fromkeys(drawn.clients[row] for _, row, value in drawn.cells if value)
    text(f"Accused at least once: {listed(list(accused), 20)}." if accused else "Nobody of these is accused.", "p")


def draw_rounds(job: str, rounds: Sequence[RoundInfo]) -> None:
    with section("Rounds"):
        rows = [
            [
                tables.Figure(each.round, str(each.round)),
                tables.Link("committed" if each.committed else "open", links.round_(job, each.round)),
                each.clients,
                each.base,
            ]
            for each in reversed(rounds)
        ]
        tables.table(["round", "state", "clients", "base"], rows, label="rounds", page=15)


def draw_schema(info: JobInfo) -> None:
    with section("Its model"):
        rows = []
        for tensor in info.schema:
            elements = prod(tensor["shape"])
            nbytes = elements * ITEMSIZE[tensor["dtype"]]
            shape = " × ".join(map(str, tensor["shape"])) or "a single number"
            rows.append(
                [tensor["name"], tensor["dtype"], shape, elements, tables.Figure(nbytes, numbers.format_size(nbytes))]
            )
        tables.table(["tensor", "dtype", "shape", "elements", "size"], rows, label="tensors")
