"""What is counted of a run, and the sentence that sums it up."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters
from flstore_core.patterns import Pattern
from loadgen.run.results import FORM, headline, load, outcome, save
from loadgen.run.runner import Pace, Plan
from loadgen.run.tally import Tally
from loadgen.run.target import Answered

HIT, MISS = Answered(hits=2, dollars=0.5), Answered(hits=1, misses=1, dollars=0.25)


class Ran:
    """As much of a finished run as results need."""

    def __init__(self, elapsed: float = 2.0, late: int = 0) -> None:
        self.elapsed = elapsed
        self.late = late


def tally() -> Tally:
    """Return three answers in two seconds, two of them hits, and an error."""
    counted = Tally()
    counted.asked = 4
    counted.answer("audit", Pattern.P2, 0.010, 0.2, HIT)
    counted.answer("serving", Pattern.P1, 0.020, 0.9, MISS)
    counted.answer("audit", Pattern.P2, 0.030, 1.1, HIT)
    counted.error("busy", 1.5)
    return counted


def test_answers_are_counted_by_second_pattern_and_workload() -> None:
    counted = tally()
    assert (counted.answered, counted.failed, counted.dollars) == (3, 1, 1.25)
    assert counted.hit_rate == pytest.approx(2 / 3)
    first, second = counted.seconds[0], counted.seconds[1]
    assert (first.requests, first.hits, first.dollars, first.errors) == (2, 1, 0.75, 0)
    assert (second.requests, second.hits, second.dollars, second.errors) == (1, 1, 0.5, 1)
    assert [name for name, _ in counted.named()] == ["overall", "P1", "P2", "audit (P2)", "serving (P1)"]
    assert {name: latencies.count for name, latencies in counted.named()} == {
        "overall": 3,
        "P1": 1,
        "P2": 2,
        "audit (P2)": 2,
        "serving (P1)": 1,
    }


def test_nothing_counted_is_no_division_by_zero() -> None:
    assert Tally().hit_rate == 0.0
    assert Tally().by_pattern == {}


def test_results_hold_what_was_counted_and_are_json() -> None:
    found = outcome({"system": "FLStore"}, Plan(), Ran(), tally())  # type: ignore[arg-type]
    assert json.loads(json.dumps(found))["form"] == FORM
    assert (found["system"], found["partial"], found["rate_per_s"]) == ("FLStore", False, 1.5)
    assert found["requests"]["overall"]["mean_ms"] == pytest.approx(20.0)
    assert found["hit_rates"] == {"P1": 0.0, "P2": 1.0}
    assert found["errors"] == {"busy": 1}
    assert list(found["seconds"]) == ["0", "1"]


def test_a_run_that_was_stopped_is_marked_partial_and_says_why() -> None:
    found = outcome({}, Plan(), Ran(), tally(), "too many errors")  # type: ignore[arg-type]
    assert (found["partial"], found["headline"]) == (True, "PARTIAL: too many errors")


def test_a_run_of_no_time_has_no_rate() -> None:
    assert outcome({}, Plan(), Ran(elapsed=0.0), Tally())["rate_per_s"] == 0.0  # type: ignore[arg-type]


def test_the_headline_of_a_serial_run_claims_no_rate() -> None:
    assert headline(Plan(pace=Pace.SERIAL), Ran(), tally()) == "3 requests, one after the other"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lags", "late", "words"),
    [
        ([0.001] * 100, 0, "3 requests at the rate of the trace"),
        ([0.001] * 98 + [0.2] * 2, 0, "DID NOT REACH ITS RATE: the generator was late, by 200 ms"),
        ([0.001] * 100, 2, "DID NOT REACH ITS RATE: 2 of 4 requests were unanswered"),
        ([0.001] * 100, 1, "3 requests at the rate of the trace"),
    ],
)
def test_the_headline_says_whether_the_rate_was_reached(lags: list[float], late: int, words: str) -> None:
    counted = tally()
    for lag in lags:
        counted.lag.add(lag)
    assert headline(Plan(), Ran(late=late), counted).startswith(words)  # type: ignore[arg-type]


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=4))
def test_saved_results_are_loaded_again(tmp_path_factory: pytest.TempPathFactory, extra: dict[str, object]) -> None:
    path = tmp_path_factory.mktemp("results") / "new" / "results.json"
    result = {**extra, "form": FORM}
    save(result, path)
    assert load(path) == result
    assert list(path.parent.iterdir()) == [path], "nothing unfinished is left beside it"


def test_results_that_cannot_be_written_say_where_and_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidParameters, match=r"results cannot be written to .*file/results\.json"):
        save({"form": FORM}, tmp_path / "file" / "results.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"form": "flstore-load/0"}', "not JSON"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(InvalidParameters, match="has no results"):
        load(path)
    with pytest.raises(InvalidParameters, match="has no results"):
        load(tmp_path / "absent.json")
