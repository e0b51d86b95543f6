"""Costs by day and kind, and events, as a gateway remembers them."""

from collections.abc import Callable

import pytest

from flstore_core.cost import Bill, RequestCost
from flstore_core.ids import JobId
from services.gateway import chronicle as module
from services.gateway.chronicle import Chronicle
from tests.fakes.clock import Clock

DAY_S = 86_400.0
COST = RequestCost(Bill(compute=1.0), Bill(compute=10.0), Bill(compute=20.0))
MINE, OTHER = JobId("mine"), JobId("other")


def everything(jobs: list[str]) -> list[str]:
    return jobs


def only(job: str) -> Callable[[list[str]], list[str]]:
    return lambda jobs: [each for each in jobs if each == job]


def test_costs_are_summed_by_day_and_kind() -> None:
    clock = Clock()
    chronicle = Chronicle(clock)
    chronicle.note_cost(MINE, "clustering", COST)
    chronicle.note_cost(OTHER, "clustering", COST)
    chronicle.note_cost(MINE, "ingest", Bill(requests=0.5))
    clock.sleep(DAY_S)
    chronicle.note_cost(MINE, "clustering", COST)
    names = ("day", "kind", "requests", "dollars", "objstore_dollars", "cache_dollars")
    assert [tuple(row[name] for name in names) for row in chronicle.costs(everything)] == [
        ("1970-01-01", "clustering", 2, 2.0, 20.0, 40.0),
        ("1970-01-01", "ingest", 1, 0.5, 0.0, 0.0),
        ("1970-01-02", "clustering", 1, 1.0, 10.0, 20.0),
    ]
    assert [row["requests"] for row in chronicle.costs(everything, OTHER)] == [1]


def test_a_caller_sees_the_costs_and_events_of_its_jobs_alone() -> None:
    chronicle = Chronicle(Clock())
    for job in (MINE, OTHER):
        chronicle.note_cost(job, "clustering", COST)
        chronicle.note_committed(job, 3)
    assert [row["requests"] for row in chronicle.costs(only("mine"))] == [1]
    assert chronicle.costs(only("mine"), OTHER) == []
    assert [event["job"] for event in chronicle.events(only("mine"))] == ["mine"]


def test_only_so_many_days_are_remembered() -> None:
    clock = Clock()
    chronicle = Chronicle(clock)
    for _ in range(module.MOST_DAYS + 2):
        chronicle.note_cost(MINE, "clustering", COST)
        clock.sleep(DAY_S)
    days = [row["day"] for row in chronicle.costs(everything)]
    assert (len(days), days[0]) == (module.MOST_DAYS, "1970-01-03")


def test_only_so_many_rows_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 2)
    clock = Clock()
    chronicle = Chronicle(clock)
    chronicle.note_cost(MINE, "yesterday", COST)
    clock.sleep(DAY_S)
    for kind in "abc":
        chronicle.note_cost(MINE, kind, COST)
    assert [row["kind"] for row in chronicle.costs(everything)] == ["b", "c"]


def test_what_happens_again_is_one_event_and_the_newest_comes_first() -> None:
    clock = Clock()
    chronicle = Chronicle(clock)
    for number in (1, 2, 1):
        chronicle.note_committed(MINE, number)
        clock.sleep(1.0)
    assert [(event["round"], event["at"]) for event in chronicle.events(everything)] == [(2, 1.0), (1, 0.0)]
