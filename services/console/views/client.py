"""One client of a job: how far it can be trusted, how its updates changed, what it sent, and its erasure."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from flstore_core.client.async_client import AsyncFLStore
from flstore_core.client.results import Answer, Fields
from flstore_core.errors import FLStoreError, Unauthorized
from flstore_core.ids import decode, encode
from flstore_core.presentation.words import counted, listed, percent, spoken
from services.console import links
from services.console.parts import charts, numbers, tables
from services.console.parts.charts import Options
from services.console.parts.elements import block, facts, heading, link, section, text
from services.console.parts.pictures import picture
from services.console.views.erasure import Erasing

MOST_PICTURES = 6
"""Metrics that are drawn; the table has the others too."""


async def show(gateway: AsyncFLStore, parameters: Mapping[str, str]) -> None:
    """Draw the view."""
    job, client = decode(parameters["job"]), decode(parameters["client"])
    series, reputation, drift = await asyncio.gather(
        gateway.client(job, client),
        _tried(gateway.run(job, "reputation", client=client)),
        _tried(gateway.run(job, "drift", client=client)),
    )
    with block("nav", "choices").props('aria-label="job"'):
        link("The job", links.job(job))
    _draw_head(series.raw, reputation, drift)
    _draw_drift(drift)
    _draw_metrics(series.raw)
    _draw_participations(job, client, series.raw)
    Erasing(gateway, job, client).draw()


async def _tried(asked: Any) -> Answer | FLStoreError:
    try:
        answer: Answer = await asked
    except Unauthorized:
        raise
    except FLStoreError as error:
        return error
    return answer


def _draw_head(series: Mapping[str, Any], reputation: Answer | FLStoreError, drift: Answer | FLStoreError) -> None:
    with section("Reputation"):
        if isinstance(reputation, Answer):
            result = reputation.result
            text(say_reputation(result.reputation, result.uncertainty), "p", "finding")
        else:
            text(reputation.detail, "p", "note")
        pairs: dict[str, object] = {}
        if isinstance(reputation, Answer):
            pairs["reputation"] = f"{reputation.result.reputation:.2f} of 1"
            pairs["uncertainty"] = f"{reputation.result.uncertainty:.2f} of 1"
        if isinstance(drift, Answer):
            pairs["alignment lately"] = f"{drift.result.alignment:.2f} of 1"
            pairs["length lately"] = f"{drift.result.relative_norm:.2f} × the median"
        rounds = series["rounds"]
        pairs["participations"] = f"{len(rounds):,}"
        if rounds:
            pairs["first and last round"] = f"{rounds[0]} and {rounds[-1]}"
        facts(pairs)


def say_reputation(reputation: float, uncertainty: float) -> str:
    """Return in words how far a client can be trusted."""
    trust = "little" if reputation < 0.4 else "some" if reputation < 0.6 else "much"
    known = "on little evidence" if uncertainty > 0.3 else "on good evidence"
    return f"Its updates deserve {trust} trust, {known}: {percent(reputation)} of its rounds are expected to be good."


def _draw_drift(drift: Answer | FLStoreError) -> None:
    with section("Alignment and length", "Beside the other clients of each round; broken lines are changes."):
        if not isinstance(drift, Answer):
            text(drift.detail, "p", "note")
            return
        history, changes = drift.result.raw["history"], drift.result.raw["changes"]
        text(say_changes(changes), "p", "finding")
        with block("div", "columns"):
            for name, words in (("alignment", "Alignment, -1 to 1"), ("relative_norm", "Length ÷ median")):
                values = [row[name] for row in history]
                options = charts.lines([row["round"] for row in history], {words: values})
                if name == "alignment":
                    options["yAxis"] |= {"min": -1, "max": 1}
                mark_changes(options, [change["round"] for change in changes])
                with block("div"):
                    heading(words, 3)
                    picture(options, f"{words} over {counted(len(history), 'round')}; {say_changes(changes)}", 220)


def say_changes(changes: Sequence[Mapping[str, Any]]) -> str:
    """Return in words when a client's updates changed."""
    if not changes:
        return "Its updates did not change in direction or length."
    rounds = listed([change["round"] for change in changes])
    last = changes[-1]
    return (
        f"Its updates changed in round {rounds}: at the last change the alignment went from "
        f"{last['alignment_before']:.2f} to {last['alignment_after']:.2f}, the length from "
        f"{last['relative_norm_before']:.2f} to {last['relative_norm_after']:.2f} times the median."
    )


def mark_changes(options: Options, rounds: Sequence[int]) -> None:
    """Add an upright broken line at each of some rounds to a chart over rounds."""
    places = {each: place for place, each in enumerate(options["xAxis"]["data"])}
    data = [{"xAxis": places[each], "name": f"round {each}"} for each in rounds if each in places]
    if data and options["series"]:
        style = {"type": "dashed", "color": "#d55e00", "width": 2}
        label = {"formatter": "{b}", "color": "inherit"}
        options["series"][0]["markLine"] = {
            "symbol": "none",
            "silent": True,
            "lineStyle": style,
            "label": label,
            "data": data,
        }


def _draw_metrics(series: Mapping[str, Any]) -> None:
    metrics = series["metrics"]
    if not metrics:
        return
    part = section("What it reported", "Its value beside the middle half of the clients that took part with it.")
    with part, block("div", "columns"):
        for name in list(metrics)[:MOST_PICTURES]:
            with block("div"):
                heading(spoken(name), 3)
                words = f"{name} over {counted(len(series['rounds']), 'round')}"
                picture(beside(series["rounds"], metrics[name]), words, 220)


def beside(rounds: Sequence[int], metric: Mapping[str, Sequence[float | None]]) -> Options:
    """Return a client's values as a line, over the band of the middle half of the others."""
    options = charts.band(rounds, metric["p25"], metric["p50"], metric["p75"], name="median", between="middle half")
    own = charts.lines(rounds, {"this client": metric["value"]})["series"][0]
    options["series"].append({**own, "color": "#d55e00"})
    options["legend"]["data"].append("this client")
    return options


def _draw_participations(job: str, client: str, series: Mapping[str, Any]) -> None:
    with section("Participations"):
        names = list(series["metrics"])[:MOST_PICTURES]
        rows = [
            [
                tables.Link(str(number), links.round_(job, number)),
                numbers.instant(series["committed_at"][place]),
                series["clients"][place],
                *(series["metrics"][name]["value"][place] for name in names),
                tables.Link("download", f"{links.round_(job, number)}/clients/{encode(client)}/file"),
            ]
            for place, number in reversed(list(enumerate(series["rounds"])))
        ]
        tables.table(["round", "committed", "clients", *names, "update"], rows, label="rounds it took part in")
        if series.get("left_out"):
            text(f"{series['left_out']:,} older rounds are not listed.", "p", "note")


__all__ = ["Fields", "beside", "mark_changes", "say_changes", "say_reputation", "show"]
