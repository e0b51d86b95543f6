"""Each experiment's report from outcomes made by hand: the figures of its table, and its pictures."""

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import Unavailable
from flstore_core.patterns import Pattern
from loadgen.compare.hourly_cost import HourlyCost
from loadgen.experiments.ablation import Ablation, _of_models
from loadgen.experiments.base import Cell, Outcome, Report, whole
from loadgen.experiments.cold import STAGES, Cold
from loadgen.experiments.faults import Faults
from loadgen.experiments.growth import SHOWN, Growth
from loadgen.experiments.paper import Paper
from loadgen.experiments.planning import Planning
from loadgen.experiments.policies import Policies
from loadgen.experiments.saturation import STEPS, Saturation
from loadgen.experiments.tables import averaged, table, varied
from loadgen.pictures.drawing import draw
from loadgen.run.events import Event, Request, Update
from loadgen.systems.deployments import System
from tests.loadgen.results import LATENCIES, result

CURVE = [[1.0, 0.5], [10.0, 1.0]]


def outcome(values: dict[str, Any], measured: dict[str, Any], seed: int = 1) -> Outcome:
    return Outcome(values, seed, measured, 1.0, 0.5)


def rows(report: Report, number: int = 0) -> list[list[str]]:
    """Return the cells of the report's table number `number`, without its rule."""
    blocks: list[list[str]] = [[]]
    for line in report.text.splitlines():
        if line.startswith("|"):
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in blocks[number]]
    return [cells[0], *cells[2:]]


def check_pictures(report: Report, *names: str) -> None:
    """Check that these pictures are there, can be drawn, and are shown in the text."""
    assert set(report.pictures) == set(names)
    for name, picture in report.pictures.items():
        ElementTree.fromstring(draw(picture))
        assert f"({name}.svg)" in report.text


def test_ablation_has_a_row_for_each_part_left_out() -> None:
    measured = {**result(), "curve": CURVE, "errors": {"busy": 2}}
    report = Ablation().report([outcome({"without": name}, measured) for name in ("nothing", "statistics")])
    header, nothing, _ = rows(report)
    assert header == [
        "without", "all, mean ms", "P2, mean ms", "p99 ms", "hit rate", "an upload, ms", "requests, $ / 1e6", "errors"
    ]  # fmt: skip
    assert nothing == ["nothing", "2.5", "2.5", "4", "0.75", "2.5", "2", "2"]
    check_pictures(report, "ablation")


def test_without_statistics_requests_for_them_read_the_models() -> None:
    events: list[Event] = [
        Update(0.0, "j", 0, "a", 4),
        Request(1.0, "j", "audit", Pattern.P2, ((0, "a"),)),
        Request(2.0, "j", "dashboard", Pattern.P4, ((0, "metadata"),)),
    ]
    update, audit, dashboard = _of_models(events)
    assert (update, dashboard) == (events[0], events[2])
    assert audit == Request(1.0, "j", "norms", Pattern.P2, ((0, "a"),))


def asked(cold: bool, total: float) -> dict[str, Any]:
    return {"cold": cold, "total": total, "start": 60.0 * cold, "fetch": 20.0 * cold, "compute": 5.0, "rest": 5.0}


def test_cold_starts_are_held_against_the_poisson_law() -> None:
    requests = [asked(True, 90.0), *[asked(False, 10.0)] * 3]
    report = Cold().report([outcome({"idle_s": 2.0, "interval_s": 2.0}, {"asked": requests})])
    header, row = rows(report)
    assert header[:5] == ["idle window, s", "mean interval, s", "cold share", "exp(-window/interval)", "mean ms, cold"]
    assert row[:5] == ["2", "2", "0.25", "0.368", "90"]
    assert row[5 : 5 + len(STAGES)] == ["60", "20", "5", "5"]
    assert row[-2:] == ["10", "0.667"], "80 of 120 ms were spent starting and fetching"
    check_pictures(report, "cold")


def test_a_cell_without_a_cold_start_has_no_cold_figures() -> None:
    report = Cold().report([outcome({"idle_s": 60.0, "interval_s": 1.0}, {"asked": [asked(False, 10.0)]})])
    assert rows(report)[1][4:9] == ["–"] * 5


def test_faults_are_averaged_over_seeds() -> None:
    def cell(replicas: int, seed: int, p99: float) -> Outcome:
        figures = {"mean_ms": 5.0, "p50_ms": 4.0, "p99_ms": p99, "max_ms": 900.0}
        return outcome({"replicas": replicas}, {**figures, "kills": 10, "asked": 50, "errors": 0, "curve": CURVE}, seed)

    report = Faults().report([cell(1, 1, 100.0), cell(1, 2, 300.0), cell(2, 1, 50.0)])
    _, one, two = rows(report)
    assert one == ["R = 1", "10", "50", "0", "5", "4", "200", "900"]
    assert two[6] == "50"
    check_pictures(report, "faults")


@given(st.floats(-1.0, 2.0))
def test_growth_finds_the_exponent_of_every_figure(exponent: float) -> None:
    sizes = [1, 4, 16]
    outcomes = [outcome({"jobs": n}, dict.fromkeys(SHOWN, 2.0 * n**exponent)) for n in sizes]
    report = Growth("jobs").report(outcomes)
    header, *figures = rows(report)
    assert header == ["", "1 jobs", "4 jobs", "16 jobs", "exponent", "R²"]
    assert [row[0] for row in figures] == list(SHOWN.values())
    assert all(float(row[4]) == pytest.approx(exponent, abs=0.006) for row in figures)


def test_growth_has_a_picture_of_its_own_dimension() -> None:
    report = Growth("clients").report([outcome({"clients": n}, dict.fromkeys(SHOWN, 1.0 * n)) for n in (1, 2)])
    check_pictures(report, "growth-clients")


HOUR = HourlyCost(0.01, 0.08, 0.02, objstore=0.5, cache=1.0, objstore_busy=0.05, cache_busy=0.06)


def paper_outcome(model: str) -> Outcome:
    def system(mean_ms: float) -> dict[str, Any]:
        requests = {"overall": {**LATENCIES, "mean_ms": mean_ms}, "audit (P2)": {**LATENCIES, "mean_ms": mean_ms}}
        return {**result(requests=requests), "curve": CURVE}

    means = {System.FLSTORE: 2.0, System.OBJSTORE: 100.0, System.CACHE: 40.0}
    measured: dict[str, Any] = {name: system(mean_ms) for name, mean_ms in means.items()}
    return outcome({"model": model, "network": "loopback"}, {**measured, "hour": HOUR.to_json()})


def test_the_papers_headline_compares_means_costs_and_workloads() -> None:
    report = Paper("paper", "Latency and cost").report([paper_outcome("resnet18")])
    latencies, costs, workloads = (rows(report, number) for number in range(3))
    assert [row[:3] + row[5:6] for row in latencies[1:]] == [
        ["resnet18", "FLStore", "2", "1"],
        ["resnet18", "ObjStore-Agg", "100", "0.02"],
        ["resnet18", "Cache-Agg", "40", "0.05"],
    ]
    assert [row[1:] for row in costs[1:]] == [
        ["functions", "0.0100", "0.500", "1.000", "98.00 %", "99.00 %"],
        ["nodes", "0.0800", "0.500", "1.000", "84.00 %", "92.00 %"],
        ["nodes, nobody asks", "0.0200", "0.500", "1.000", "96.00 %", "98.00 %"],
        ["baselines if paid while busy alone", "–", "0.0500", "0.0600", "–", "–"],
    ]
    assert workloads[1:] == [["overall", "2.0 / 100.0 / 40.0"], ["audit (P2)", "2.0 / 100.0 / 40.0"]]
    check_pictures(report, "paper-resnet18")


def test_planning_says_how_many_servers_a_load_needs() -> None:
    def cell(jobs: int, load: float, table: float) -> Outcome:
        measured = {
            "offered": {"gateways": load, "table": table},
            "servers": {"gateways": 64, "table": 1},
            "wait_s": {"gateways": 0.012},
            "finished_s": {},
            "services": {"answer": 0.002},
            "table_s": 1.5,
            "table_bytes": 1234,
        }
        return outcome({"jobs": jobs}, measured)

    report = Planning().report([cell(1000, 0.1, 0.2), cell(10_000, 1.4, 1.4)])
    header, gateways, serial = rows(report)
    assert header[-1] == "servers for 10000 jobs at a load of 0.7"
    assert gateways == ["gateways", "64", "0.10 / 12", "1.40 / 12", "128"], "64 servers at 1.4 are 128 at 0.7"
    assert serial[-1] == "no number helps", "changes to the table are serial"
    assert "Service times in ms: answer 2.0." in report.text
    assert "takes 1.50 s, and it has 1234 bytes" in report.text
    check_pictures(report, "planning")


def test_policies_are_compared_by_pattern_and_with_the_simulator() -> None:
    def cell(policy: str, rate: float) -> Outcome:
        return outcome({"policy": policy}, {name: {"live": rate, "simulated": rate - 0.01} for name in ("P1", "all")})

    report = Policies().report([cell("tailored", 0.95), cell("lru", 0.5)])
    assert rows(report) == [
        ["policy, hit rate in per cent", "P1", "all", "all, simulated"],
        ["`tailored`", "95.0", "95.0", "94.0"],
        ["`lru`", "50.0", "50.0", "49.0"],
    ]
    check_pictures(report, "policies")


def test_saturation_shows_the_highest_rate_and_the_latency_on_the_way_there() -> None:
    def cell(needs: str, shards: int, most: float) -> Outcome:
        steps = [{"p50_ms": 1.0 + index, "p99_ms": 10.0 + index} for index in range(len(STEPS))]
        return outcome({"needs": needs, "shards": shards}, {"most_per_s": most, "steps": steps})

    report = Saturation().report([cell("weights", 1, 200.0), cell("weights", 2, 350.0), cell("statistics", 1, 900.0)])
    _, first, *_ = rows(report)
    assert first == ["weights", "1", "200", "1.0 / 10.0", "2.0 / 11.0", "3.0 / 12.0", "4.0 / 13.0", "5.0 / 14.0"]
    check_pictures(report, "saturation")


def test_a_table_shows_figures_to_three_digits_and_large_ones_whole() -> None:
    assert table(["name", "value"], [["a", 0.123456], ["b", 1234.56], ["c", 7], ["d", "–"]]) == (
        "| name | value |\n| --- | ---: |\n| a | 0.123 |\n| b | 1235 |\n| c | 7 |\n| d | – |\n"
    )


def test_means_are_taken_over_the_outcomes_that_have_the_values() -> None:
    outcomes = [
        outcome({"x": x, "y": y}, {"ms": 10.0 * x + y}, seed) for x in (1, 2) for y in (1, 2) for seed in (1, 2)
    ]
    assert averaged(outcomes, "ms", x=2) == pytest.approx(21.5)
    assert averaged(outcomes, "ms", x=1, y=2) == pytest.approx(12.0)
    assert varied(outcomes, "y") == [1, 2]


def test_a_cell_is_named_by_what_is_varied_and_its_seed() -> None:
    assert Cell("paper", {"model": "resnet18", "shards": 2}, 7).name == "model=resnet18,shards=2,seed=7"


def test_half_a_run_is_no_cell() -> None:
    assert whole(result())["answered"] == 4
    with pytest.raises(Unavailable, match="PARTIAL: too many errors"):
        whole(result(partial=True, headline="PARTIAL: too many errors"))
