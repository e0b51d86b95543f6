"""Tables of a run for a terminal: live, and as a summary."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from loadgen.run.tally import Tally

COLUMNS = ("mean_ms", "p50_ms", "p90_ms", "p99_ms", "max_ms")


class LiveView:
    """A table that is updated while a run goes on."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def __call__(self, tally: Tally, elapsed: float) -> None:
        table = Table(title=f"{elapsed:.0f} s")
        for column in ("requests", "count", "mean ms", "p50 ms", "p99 ms"):
            table.add_column(column, justify="left" if column == "requests" else "right")
        for name, latencies in tally.named():
            row = latencies.to_json()
            shown = (f"{row[column]:.1f}" for column in ("mean_ms", "p50_ms", "p99_ms"))
            table.add_row(name, str(row["count"]), *shown)
        table.caption = (
            f"{tally.uploads.count} uploads, {tally.commits.count} commits, {tally.failed} errors, "
            f"hit rate {tally.hit_rate:.3f}"
        )
        self._live.update(table)


def summary(result: Mapping[str, Any]) -> Table:
    """Return a run's figures as a table under its headline."""
    table = Table(title=escape(str(result["headline"])))
    table.add_column("requests")
    for column in ("count", *COLUMNS):
        table.add_column(column.replace("_", " "), justify="right")
    for name, row in result["requests"].items():
        table.add_row(name, str(row["count"]), *(f"{row[column]:.2f}" for column in COLUMNS))
    errors = ", ".join(f"{code} × {count}" for code, count in result["errors"].items()) or "none"
    table.caption = (
        f"hit rate {result['hit_rate']:.3f}, errors: {errors}, ${result['dollars']:.6f}, "
        f"sent late by {result['lag']['p99_ms']:.2f} ms (p99)"
    )
    return table


def side_by_side(results: Sequence[Mapping[str, Any]]) -> Table:
    """Return several systems' figures for the same load; ratios are to the first system's."""
    table = Table(title="The same load on each")
    table.add_column("")
    for result in results:
        table.add_column(escape(str(result.get("system", result["target"]))), justify="right")
    ours = results[0]["requests"]["overall"]
    names = list(dict.fromkeys(name for result in results for name in result["requests"]))
    for name in names:
        for column in ("mean_ms", "p99_ms") if name == "overall" else ("mean_ms",):
            cells = [_cell(result["requests"].get(name), column) for result in results]
            table.add_row(f"{name}, {column.replace('_', ' ')}", *cells)
    ratios = [f"{ours['mean_ms'] / _mean(result):.3f}" if _mean(result) else "–" for result in results]
    table.add_row("FLStore's mean over this mean", *ratios)
    table.add_row("hit rate", *(f"{result['hit_rate']:.3f}" for result in results))
    table.add_row("requests, dollars", *(f"{result['dollars']:.6f}" for result in results))
    table.add_row("errors", *(str(sum(result["errors"].values())) for result in results))
    return table


def print_results(results: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print each run's headline, and all of them side by side."""
    for result in results:
        title = escape(str(result.get("system", result["target"])))
        console.print(f"{title}: {escape(str(result['headline']))}")
    console.print(side_by_side(results))


def _mean(result: Mapping[str, Any]) -> float:
    return float(result["requests"]["overall"]["mean_ms"])


def _cell(row: Mapping[str, Any] | None, column: str) -> str:
    return f"{row[column]:.2f}" if row else "–"
