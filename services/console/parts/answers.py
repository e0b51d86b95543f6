"""A workload's answer on a page: what it comes to, what stands behind it, and what it took."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from flstore_core.client import Answer
from flstore_core.presentation import Facts, HeatMap, Shown, Table, present, shown, spoken, tidy
from flstore_core.units import format_size
from services.console.parts import charts, colours, numbers, tables
from services.console.parts.charts import Options
from services.console.parts.controls import text_as_it_is
from services.console.parts.elements import block, facts, heading, text
from services.console.parts.pictures import picture

ROOM = 48
"""Characters of a name in an answer."""
BASELINES = {
    "objstore_dollars": "an aggregator that reads from an object store",
    "cache_dollars": "an aggregator that reads from a cache",
}
MOST_BARS = 40
MOST_JSON = 20_000
"""Characters of an answer that are shown as JSON."""


def draw(answer: Answer) -> None:
    """Draw an answer whole."""
    presentation = present(answer.workload, tidy(answer.result.raw, ROOM))
    text(presentation.finding, "p", "finding")
    for remark in presentation.remarks:
        text(remark, "p", "note")
    for part in presentation.parts:
        _part(part)
    with block("details"):
        text("The answer as JSON", "summary")
        text_as_it_is(json.dumps(answer.result.raw, indent=1, ensure_ascii=False)[:MOST_JSON])


def draw_execution(answer: Answer) -> None:
    """Draw where an answer was computed, what it read, how long each stage took, and what that costs."""
    execution = answer.execution.raw
    hits = execution.get("hits", 0)
    where = ", ".join(execution.get("shards", ())) or "no shard"
    facts(
        {
            "answered by": "a kept answer" if execution.get("cached") else f"the {execution['where']}",
            "shards asked": where,
            "took": numbers.milliseconds(execution["total_ms"]),
            "found in memory": f"{hits:,} of {hits + execution.get('misses', 0):,}",
            "read": format_size(execution.get("bytes_touched", 0)),
            "of that from the store": format_size(execution.get("bytes_fetched", 0)),
        }
    )
    stages = {spoken(name): value for name, value in execution.get("stages_ms", {}).items() if value > 0}
    if stages:
        heading("Time by stage", 3)
        rows = [[name, tables.Figure(value, numbers.milliseconds(value))] for name, value in stages.items()]
        tables.table(["stage", "time"], rows, label="time by stage")
    if cost := execution.get("cost"):
        heading("Cost", 3)
        tables.table(["who answers", "cost", "ours is"], _costs(cost), label="cost of this answer, here and elsewhere")


def _costs(cost: Mapping[str, float]) -> list[list[Any]]:
    ours = cost["dollars"]
    rows: list[list[Any]] = [["FLStore", tables.Figure(ours, numbers.dollars(ours)), "-"]]
    for name, words in BASELINES.items():
        amount = cost[name]
        rows.append([words, tables.Figure(amount, numbers.dollars(amount)), numbers.factor(ours, amount)])
    return rows


def _part(part: Shown) -> None:
    if part.title:
        heading(part.title[:1].upper() + part.title[1:], 3)
    match part:
        case HeatMap():
            cells = [(x, y, value) for y, row in enumerate(part.values) for x, value in enumerate(row)]
            options = charts.heat(part.names, part.names, cells, low=part.low, high=part.high, scale=_scale(part))
            picture(options, f"{part.title or 'matrix'} of {len(part.names)} names", 420)
            _say_more(part.more)
        case Table():
            if bars := drawn_rows(part):
                picture(bars, f"{part.title or part.columns[0]}, as bars or a line; the table has the figures", 240)
            tables.table(part.columns, part.rows, label=part.title or "answer")
            _say_more(part.more)
        case Facts():
            facts({spoken(name): shown(value) for name, value in part.values.items()})


def drawn_rows(part: Table) -> Options | None:
    """Return a picture of a table's first column of numbers: a line over rounds, else bars; None if it has none.

    Rows that are cut off are in no picture: it would look like all of them.
    """
    number = next((place for place in range(1, len(part.columns)) if _all_numbers(part.rows, place)), None)
    if number is None or len(part.rows) < 2:
        return None
    names, values = [row[0] for row in part.rows], [row[number] for row in part.rows]
    title = spoken(part.columns[number])
    if part.columns[0] == "round" and all(a < b for a, b in pairwise(names)):
        return charts.lines(names, {title: values}, y_name=title)
    if len(part.rows) > MOST_BARS or not all(isinstance(name, str) for name in names):
        return None
    return charts.bars([str(name) for name in names], {title: values}, y_name=title)


def _all_numbers(rows: Sequence[Sequence[Any]], place: int) -> bool:
    values = [row[place] for row in rows]
    return all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)


def _scale(part: HeatMap) -> Sequence[str]:
    """Return the colours of a heat map: those with a middle where its values go from below zero to above."""
    return colours.AROUND if part.low < 0.0 < part.high else colours.SCALE


def _say_more(more: int) -> None:
    if more:
        text(f"{more:,} more are not shown; the answer as JSON has them.", "p", "note")
