"""The demonstration's report, as data and as lines, from hand-made answers."""

import io
from typing import Any

import pytest
from rich.console import Console

from loadgen.demo.detection import Detection
from loadgen.demo.measure import Hot, Question
from loadgen.demo.report import Report, Row
from tests.loadgen.demo.answers import answer

ATTACKERS = {"client-1": "sign flip", "client-2": "scaled noise"}


def row(*differences: str, **changes: Any) -> Row:
    question = Question("aggregate", "P2", {"round": 3})
    result = {"round": 3, "method": "median", "clients": ["a", "b"], "weights": [1, 1], "left_out": [], "moved": 1.0}
    return Row(question, Hot(answer("aggregate", result, where="shards"), 2.0, 30.0, differences), from_zero_ms=400.0)


def report(*rows: Row, accusations: dict[str, int] | None = None, refused: dict[str, str] | None = None) -> Report:
    counted = {"client-1": 3, "client-2": 1} if accusations is None else accusations
    detection = Detection(ATTACKERS, {"client-1": 4, "client-2": 4, "client-3": 4}, counted)
    return Report("s3://b", "digits", 2, 200, 1_000_000, 0.912, 61.5, detection, rows, refused or {})


def text(of: Report) -> str:
    console = Console(width=160, file=io.StringIO(), record=True)
    for line in of.lines():
        console.print(line)
    return console.export_text()


def test_a_row_compares_the_three_ways() -> None:
    assert row().to_json() == {
        "workload": "aggregate",
        "pattern": "P2",
        "params": {"round": 3},
        "finding": "Round 3: median of 2 updates, 1 from where the round began",
        "where": "shards",
        "hot_ms": 2.0,
        "from_zero_ms": 400.0,
        "aggregator_ms": 30.0,
        "speedup": 15.0,
        "agrees": True,
        "differences": [],
    }


def test_a_report_tells_of_training_workloads_attackers_and_agreement() -> None:
    shown = text(report(row()))
    assert (
        "200 updates of 1,000,000 parameters over HTTP into s3://b; the global model reads 91 % of unseen digits"
        in shown
    )
    assert "15.0 ×" in shown
    assert "client-1 (sign flip): found, accused in 3 of its 4 rounds" in shown
    assert "client-2 (scaled noise): MISSED, accused in 1 of its 4 rounds" in shown
    assert "No honest client was accused." in shown
    assert "FLStore and the aggregator agree on every answer to 1e-4. 62 s in all." in shown


def test_disagreement_is_shown_with_its_first_places_and_ends_the_agreement() -> None:
    differing = report(row(), row("norm: 1 against 2", "b", "c", "d"))
    assert not differing.agrees
    assert differing.to_json()["agrees"] is False
    shown = text(differing)
    assert "FLStore and the aggregator DISAGREE" in shown
    assert "aggregate: norm: 1 against 2" in shown
    assert "aggregate: d" not in shown, "three places are enough to look for"


def test_honest_clients_that_were_accused_and_refused_workloads_are_named() -> None:
    shown = text(report(row(), accusations={"client-3": 3}, refused={"theirs": "give a data set"}))
    assert "Accused honest clients: client-3." in shown
    assert "theirs could not be asked: give a data set" in shown
    assert shown.count("MISSED") == 2


@pytest.mark.parametrize(("times", "accused"), [(0, False), (2, False), (3, True), (4, True)])
def test_a_client_counts_as_accused_beyond_half_of_its_rounds(times: int, accused: bool) -> None:
    detection = Detection({"a": "sign flip"}, {"a": 4}, {"a": times})
    assert detection.found == (["a"] if accused else [])
    assert detection.missed == ([] if accused else ["a"])


def test_what_was_detected_is_data() -> None:
    detection = Detection(ATTACKERS, {"client-1": 4, "x": 2, "y": 2}, {"client-1": 4, "x": 2, "y": 1})
    assert detection.to_json() == {
        "attackers": {
            "client-1": {"attack": "sign flip", "rounds": 4, "accused": 4},
            "client-2": {"attack": "scaled noise", "rounds": 0, "accused": 0},
        },
        "found": ["client-1"],
        "missed": ["client-2"],
        "honest_accused": ["x"],
        "honest_accusations": 3,
    }
