"""Every workload's answer: the finding names whom it is about, what matters most comes first, and nothing is cut."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from rich.cells import cell_len

from flstore_core.presentation import MOST_ROWS, Facts, HeatMap, Table, present, shown, spoken, tidy, view_of
from flstore_core.presentation.catalogue import VIEWS
from flstore_core.workloads import registry
from flstore_core.workloads.describe import REMARKS
from tests.presentation.answers import NAMES, PLANTED, answer, catalogue
from tests.presentation.screen import screen

FINDINGS: Mapping[str, str] = {
    "aggregate": "Round 3: fedavg of 10 updates, ",
    "clustering": "Round 3: 10 clients in 2 groups, of 9, 1; silhouette 0.",
    "contribution": f"against the direction of the round: {PLANTED}",
    "contribution-evaluated": f"harmful: {PLANTED}",
    "convergence": "The training improves, by -0.417 a round; best 0.5 in round 3, newest 0.5",
    "cosine-similarity": f"least like the others is {PLANTED}, at -0.9",
    "debug": f"Round 1: 1 of 10 clients is faulty: {PLANTED}",
    "drift": f"{PLANTED} did not change over 4 rounds: alignment -0.9",
    "evaluate": "Best of 11 models on 40 examples of test: 1:hospital-",
    "fairness": "10 of 10 clients report 0.865 on average; Jain's index 0.998",
    "hyperparameters": "learning_rate explains 4 % of the progress, the most of 2; the best so far is learning_rate",
    "incentives": f"nothing for {PLANTED}",
    "inference": f"Model 1:{NAMES[0]} of job gave output_0 (FP32, 4 × 3)",
    "inspect": f"Round 3, {PLANTED}: 120 parameters, norm ",
    "llm-inference": "1 continued 2 prompts, 0 of them to the stop token; likeliest is that of prompt 0",
    "malicious-filter": f"Round 1: 1 of 10 clients looks malicious: {PLANTED}",
    "metrics": "40 participations in rounds 0-3, in 4 groups by round",
    "norms": "Longest of 11 models: aggregate of round 2, ",
    "personalize": "Round 3: 2 models for 10 clients, up to ",
    "provenance": "Round 3: made of 10 updates; made again, it is not the same in round 3",
    "reputation": f"{PLANTED} is trusted 20 %, by 4 rounds (uncertainty 37 %); against it: rounds 0-3",
    "schedule-accuracy": " (3 of 10 clients)",
    "schedule-clusters": " (3 of 10 clients), from tier ",
    "schedule-performance": " (3 of 10 clients)",
    "stragglers": f"1 of 10 clients is slow: {PLANTED}; a deadline of 10.9 s would save 82 % of the waiting",
    "unlearn": f"Without {PLANTED}: the aggregate of round 3, ",
}

Where = tuple[int, str]
"""Index of a table among those of an answer, and the name of a column."""
DESCENDING: Mapping[str, Where] = {
    "aggregate": (0, "weight"),
    "clustering": (0, "size"),
    "contribution": (0, "value"),
    "contribution-evaluated": (0, "value"),
    "convergence": (0, "round"),
    "debug": (0, "votes"),
    "drift": (0, "round"),
    "hyperparameters": (0, "explained"),
    "incentives": (0, "amount"),
    "inspect": (0, "distance"),
    "llm-inference": (0, "log_probability"),
    "norms": (0, "norm"),
    "personalize": (0, "size"),
    "provenance": (1, "weight"),
    "reputation": (0, "round"),
    "stragglers": (0, "median"),
    "unlearn": (0, "distance"),
}
ASCENDING: Mapping[str, Where] = {
    "cosine-similarity": (0, "with_others"),
    "evaluate": (0, "loss"),
    "fairness": (0, "participations"),
    "inference": (0, "row"),
    "schedule-accuracy": (0, "loss"),
    "schedule-clusters": (0, "mean_duration_s"),
}


def tables(workload: str) -> list[Table]:
    return [part for part in present(workload, answer(workload)).parts if isinstance(part, Table)]


def column(table: Table, name: str) -> list[Any]:
    place = list(table.columns).index(name)
    return [row[place] for row in table.rows]


def test_every_workload_of_the_catalogue_has_a_view_and_an_answer_here() -> None:
    assert set(catalogue()) == set(VIEWS) == set(FINDINGS)


@pytest.mark.parametrize("workload", sorted(VIEWS))
def test_the_finding_is_one_line_that_names_whom_it_is_about(workload: str) -> None:
    finding = present(workload, tidy(answer(workload))).finding
    assert FINDINGS[workload] in finding
    assert "\n" not in finding
    assert len(finding) <= 200


@pytest.mark.parametrize("workload", sorted(VIEWS))
@pytest.mark.parametrize("width", [80, 200])
def test_no_heading_and_no_cell_is_cut(workload: str, width: int) -> None:
    output = screen(workload, answer(workload), width)
    assert all(cell_len(line) <= width for line in output)
    assert not any("…" in line for line in output)
    headings = [line.split() for line, rule in pairwise(output) if set(rule) == {"─"}]
    words = {word for table in tables(workload) for name in table.columns for word in spoken(name).split()}
    assert all(word in words for heading in headings for word in heading)


@pytest.mark.parametrize("workload", sorted(VIEWS))
@pytest.mark.parametrize("width", [80, 200])
def test_with_wide_everything_of_every_table_is_there(workload: str, width: int) -> None:
    output = " ".join(" ".join(screen(workload, answer(workload), width, wide=True)).split())
    for table in tables(workload):
        assert all(spoken(name) in output for name in table.columns)
        assert all(word in output for row in table.rows for value in row for word in shown(value)[:40].split())
    assert "--wide" not in output


@pytest.mark.parametrize("workload", sorted(VIEWS))
def test_every_field_of_an_answer_is_covered_by_the_finding_or_shown(workload: str) -> None:
    view, whole = VIEWS[workload], answer(workload)
    covered = {*view.told, *(name for part in view.parts for name in part.covers)}
    assert covered <= whole.keys()
    covered |= {*REMARKS}
    output = " ".join(" ".join(screen(workload, whole, 200)).split())
    assert all(spoken(name) in output for name in whole if name not in covered)


@pytest.mark.parametrize(("workload", "where"), DESCENDING.items())
def test_what_is_greatest_comes_first(workload: str, where: Where) -> None:
    index, name = where
    values = column(tables(workload)[index], name)
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(("workload", "where"), ASCENDING.items())
def test_what_is_least_comes_first(workload: str, where: Where) -> None:
    index, name = where
    values = column(tables(workload)[index], name)
    assert values == sorted(values)


def test_the_accused_come_first_with_their_reasons() -> None:
    reasons, verdicts = tables("malicious-filter")
    assert list(reasons.columns) == ["client", "reasons"]
    assert [row[0] for row in reasons.rows] == [PLANTED]
    assert str(reasons.rows[0][1]).startswith("points the opposite way: log odds")
    assert column(verdicts, "client")[0] == PLANTED
    assert column(verdicts, "malicious") == [True] + [False] * 9
    assert "reasons" not in verdicts.columns
    odds = column(verdicts, "opposition")[1:]
    assert odds == sorted(odds, reverse=True)


def test_the_chosen_come_first_and_those_who_were_never_seen_are_named() -> None:
    (candidates,) = tables("schedule-performance")
    assert column(candidates, "chosen") == ["exploit"] * 3 + [None] * 7
    known = answer("schedule-performance")
    chosen = [*known["chosen"], {"client": "newcomer", "why": "explore"}]
    changed = {**known, "chosen": chosen}
    assert present("schedule-performance", changed).finding.endswith("(4 of 11 clients); new among them: newcomer")


def test_similarities_are_a_heat_map_with_the_least_similar_client_first() -> None:
    (picture,) = (
        part for part in present("cosine-similarity", answer("cosine-similarity")).parts if isinstance(part, HeatMap)
    )
    assert picture.names[0] == PLANTED
    assert sorted(picture.names) == sorted(NAMES)
    assert (picture.low, picture.high) == (-1.0, 1.0)
    assert [row[index] for index, row in enumerate(picture.values)] == pytest.approx([1.0] * 10)
    assert picture.values[0][1] == pytest.approx(picture.values[1][0])
    assert picture.values[0][1] < -0.8


def changed(workload: str, /, **fields: Any) -> str:
    return present(workload, {**answer(workload), **fields}).finding


def test_findings_of_the_other_outcomes() -> None:
    nobody = [{**each, "malicious": False, "reasons": []} for each in answer("malicious-filter")["verdicts"]]
    assert changed("malicious-filter", verdicts=nobody) == "Round 1: none of 10 clients looks malicious"
    two = [{**each, "malicious": row < 2, "reasons": ["x"]} for row, each in enumerate(nobody)]
    assert "2 of 10 clients look malicious: " in changed("malicious-filter", verdicts=two)
    assert f"no client is faulty; most suspect is {PLANTED}, with 100 %" in changed("debug", faulty=[])
    assert changed("stragglers", slow=[]).startswith("None of 10 clients is slow; a deadline of 10.9 s")
    assert changed("drift", history=[]) == f"{PLANTED} has no round in which others took part"
    change = [{"round": 2, "alignment_before": 0.5}, {"round": 3, "alignment_before": 0.5}]
    assert changed("drift", changes=change).startswith(f"{PLANTED} changed in rounds 2-3; since then alignment -0.9")
    assert changed("drift", changes=change[:1]).startswith(f"{PLANTED} changed in round 2; ")
    assert "against" not in changed("reputation", history=[{"round": 1, "good": 0.9}])
    assert changed("clustering", clusters=answer("clustering")["clusters"][:1]) == "Round 3: 10 clients in one group"
    alone = {"clients": ["a"], "matrix": [[1.0]], "with_aggregate": [1.0], "norms": [2.0]}
    assert changed("cosine-similarity", **alone) == "Round 1: 1 update, with none to compare"
    assert changed("convergence", rounds_to_target=0).endswith("; the target is reached")
    assert changed("convergence", rounds_to_target=4).endswith("; the target is 4 rounds away")
    assert changed("hyperparameters", best=None).endswith("; no setting was used often enough to be the best")
    assert changed("hyperparameters", effects=[]) == "No hyperparameters are recorded in 3 rounds with progress"
    assert changed("norms", norms=[{"client": "a", "round": 1, "norm": 2.0}]) == "The norm of a of round 1, 2"
    assert changed("unlearn", models=[]) == f"{PLANTED} took part in no round: nothing to unlearn"
    both = answer("unlearn")["models"] * 2
    assert "2 aggregates, the farthest of round 3, " in changed("unlearn", models=both)
    assert " without a, b, " in changed("aggregate", left_out=["a", "b"])
    assert "the aggregate: " in changed("inspect", client="aggregate")
    assert "from its base" not in changed("inspect", distance=None)
    assert "accuracy" not in changed("evaluate", models=[{"model": "1", "accuracy": None, "loss": 1.0}], best="1")
    assert changed("metrics", groups=[]) == "40 participations in rounds 0-3"
    assert changed("schedule-accuracy", chosen=[]) == "Next round: nobody (0 of 10 clients)"


def test_findings_of_contributions_without_a_negative_one_name_the_least() -> None:
    rows = [{"client": "a", "value": 0.7, "standard_error": 0.0}, {"client": "b", "value": 0.3, "standard_error": 0.0}]
    assert changed("contribution", contributions=rows) == "Round 3: a contributes the most (0.7); b the least (0.3)"
    paid = [{"client": "a", "amount": 7, "contribution": 0.7}]
    assert changed("incentives", payments=paid).endswith("1,000,000 split among 1 client; a gets the most (7)")


def test_provenance_of_an_artifact_names_what_changed_since() -> None:
    artifact: dict[str, Any] = {"generations": [], "workload": "aggregate", "verified": None}
    inputs = [{"round": 1, "client": "a", "sha256": ""}, {"round": 2, "client": "b", "sha256": ""}]
    made = changed("provenance", **artifact, inputs=inputs, changed=inputs[1:])
    assert made == "aggregate made it of 2 models; changed since: b of round 2"
    same = changed("provenance", **{**artifact, "verified": True}, inputs=inputs, changed=[])
    assert same == "aggregate made it of 2 models; made again, it is the same"


def test_provenance_over_generations_says_how_far_back() -> None:
    (one,) = answer("provenance")["generations"]
    earlier = {**one, "round": 2, "verified": False}
    finding = changed("provenance", generations=[one, earlier])
    assert (
        finding == "Round 3: made of 10 updates, traced back to round 2; made again, it is not the same in rounds 2-3"
    )


def test_the_classes_of_a_single_model_are_a_table() -> None:
    one = {**answer("evaluate"), "models": answer("evaluate")["models"][-1:], "best": "1"}
    _, classes = (part for part in present("evaluate", one).parts if isinstance(part, Table))
    assert column(classes, "label") == [0, 1, 2]


def many(count: int) -> Any:
    """Return a malicious-filter's answer over many clients, of which one in the middle is accused."""
    innocent = next(each for each in answer("malicious-filter")["verdicts"] if not each["malicious"])
    verdicts = [{**innocent, "client": f"client-{row:04}"} for row in range(count)]
    verdicts[count // 2] |= {"malicious": True, "reasons": ["is much longer than the others"]}
    return {**answer("malicious-filter"), "verdicts": verdicts, "multi_krum": [each["client"] for each in verdicts]}


def test_of_a_thousand_clients_the_forty_that_matter_are_shown() -> None:
    output = screen("malicious-filter", many(1000), 80)
    assert sum(line.startswith("client-") for line in output) == 1 + MOST_ROWS
    assert output[1:4][-1].startswith("client-0500")
    assert "960 more; --json shows all" in output
    assert "client-0039 and 960 more" in " ".join(" ".join(output).split())
    assert present("malicious-filter", many(1000)).finding == "Round 1: 1 of 1,000 clients looks malicious: client-0500"


def test_of_many_similarities_the_least_similar_clients_are_shown() -> None:
    size = 1000
    matrix = [[1.0 if row == other else row / size for other in range(size)] for row in range(size)]
    names = [f"c{row}" for row in range(size)]
    result = {"round": 1, "clients": names, "matrix": matrix, "with_aggregate": [0.5] * size, "norms": [1.0] * size}
    (picture,) = (part for part in present("cosine-similarity", result).parts if isinstance(part, HeatMap))
    assert (list(picture.names), picture.more) == (names[:MOST_ROWS], 960)


def test_a_view_that_does_not_fit_an_answer_gives_way_to_the_general_rule(caplog: pytest.LogCaptureFixture) -> None:
    found = present("malicious-filter", {"accused": ["a"], "judged": [{"client": "a", "score": 3}]})
    assert found.finding == "accused: a (1 of 1)"
    assert "the view of 'malicious-filter' does not fit its answer: KeyError: 'verdicts'" in caplog.text


def test_fields_that_a_view_does_not_know_are_shown_by_the_general_rule() -> None:
    parts: Sequence[Any] = present("norms", {**answer("norms"), "assumed": ["a", "b"]}).parts
    assert parts[-1] == Facts("", {"assumed": ["a", "b"]})


def test_a_workload_that_is_not_installed_has_no_view() -> None:
    assert view_of("of-the-server-alone") is None
    assert all(view_of(name) is None or name in VIEWS for name in registry.names())
