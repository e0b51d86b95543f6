"""The demonstration's results, as data and as tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from flstore_core.presentation import present, tidy
from loadgen.demo.detection import Detection
from loadgen.demo.measure import Hot, Question


@dataclass(frozen=True)
class Row:
    """One workload, asked in three ways."""

    question: Question
    hot: Hot
    from_zero_ms: float

    @property
    def speedup(self) -> float:
        return self.hot.aggregator_ms / self.hot.hot_ms

    @property
    def finding(self) -> str:
        """What the answer comes to, in one line."""
        answer = self.hot.answer
        return present(answer.workload, tidy(answer.result.raw)).finding

    def to_json(self) -> dict[str, Any]:
        return {
            "workload": self.question.workload,
            "pattern": self.question.pattern,
            "params": dict(self.question.params),
            "finding": self.finding,
            "where": self.hot.answer.execution.where,
            "hot_ms": round(self.hot.hot_ms, 3),
            "from_zero_ms": round(self.from_zero_ms, 3),
            "aggregator_ms": round(self.hot.aggregator_ms, 3),
            "speedup": round(self.speedup, 2),
            "agrees": not self.hot.differences,
            "differences": list(self.hot.differences),
        }


@dataclass(frozen=True)
class Report:
    """The whole demonstration."""

    store: str
    job: str
    shards: int
    updates: int
    parameters: int
    accuracy: float
    """Of the last global model, on digits that no client saw."""
    seconds: float
    detection: Detection
    rows: Sequence[Row]
    refused: Mapping[str, str]
    """Reasons of the workloads that refused, by name."""

    @property
    def agrees(self) -> bool:
        return not any(row.hot.differences for row in self.rows)

    def to_json(self) -> Mapping[str, Any]:
        return {
            "store": self.store,
            "job": self.job,
            "shards": self.shards,
            "updates": self.updates,
            "parameters": self.parameters,
            "accuracy": round(self.accuracy, 4),
            "seconds": round(self.seconds, 1),
            "agrees": self.agrees,
            "detection": self.detection.to_json(),
            "workloads": [row.to_json() for row in self.rows],
            "refused": dict(self.refused),
        }

    def lines(self) -> Iterator[RenderableType]:
        """Yield the report for a terminal."""
        yield Text(
            f"\n{self.updates} updates of {self.parameters:,} parameters over HTTP into {self.store}; "
            f"the global model reads {100 * self.accuracy:.0f} % of unseen digits."
        )
        yield self._table()
        for name, reason in self.refused.items():
            yield Text(f"{name} could not be asked: {reason}", "yellow")
        yield from _verdict(self.detection)
        yield self._agreement()

    def _table(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD)
        for name in ("workload", "pattern"):
            table.add_column(name, no_wrap=True)
        table.add_column("finding")
        for name in ("hot ms", "from zero ms", "aggregator ms", "speed-up"):
            table.add_column(name, no_wrap=True, justify="right")
        for row in self.rows:
            times = [f"{each:.1f}" for each in (row.hot.hot_ms, row.from_zero_ms, row.hot.aggregator_ms)]
            table.add_row(
                row.question.workload, row.question.pattern, Text(row.finding), *times, f"{row.speedup:.1f} ×"
            )
        return table

    def _agreement(self) -> Text:
        if self.agrees:
            return Text(f"FLStore and the aggregator agree on every answer to 1e-4. {self.seconds:.0f} s in all.")
        lines = [f"  {row.question.workload}: {each}" for row in self.rows for each in row.hot.differences[:3]]
        return Text("FLStore and the aggregator DISAGREE:\n" + "\n".join(lines), "bold red")


def _verdict(detection: Detection) -> Iterator[Text]:
    for client, attack in detection.attackers.items():
        verdict = "found" if client in detection.found else "MISSED"
        times = f"accused in {detection.accusations.get(client, 0)} of its {detection.rounds.get(client, 0)} rounds"
        yield Text(f"{client} ({attack}): {verdict}, {times}", "green" if verdict == "found" else "red")
    honest = detection.honest_accused
    said = f"accused honest clients: {', '.join(honest)}" if honest else "no honest client was accused"
    yield Text(f"{said[0].upper()}{said[1:]}.\n", "red" if honest else "green")
