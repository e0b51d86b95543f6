"""Each workload's answer in one line, from answers written by hand."""

from typing import Any

import pytest

from flstore_core.client import Answer
from flstore_core.workloads import Needs, registry
from loadgen.demo.findings import _FINDINGS, finding


def answer(workload: str, result: dict[str, Any]) -> Answer:
    return Answer.from_json(
        {"job": "j", "workload": workload, "pattern": "P2", "rounds": [1], "result": result, "execution": {}}
    )


CASES: list[tuple[str, dict[str, Any], str]] = [
    (
        "cosine-similarity",
        {
            "clients": ["client-1", "client-2", "client-3"],
            "matrix": [[1, 0.5, 0.0], [0.5, 1, 0.25], [0, 0.25, 1]],
            "with_aggregate": [0.9, 0.8, -0.1],
        },
        "mean similarity 0.25; least like the aggregate: 3",
    ),
    (
        "malicious-filter",
        {"round": 7, "malicious": ["client-4", "mallory"], "verdicts": [{}] * 10},
        "round 7: 4, mallory accused of 10 clients",
    ),
    ("malicious-filter", {"round": 7, "malicious": [], "verdicts": [{}]}, "round 7: nobody accused of 1 clients"),
    (
        "aggregate",
        {"method": "mean", "clients": ["a", "b"], "moved": 1.234},
        "mean of 2 updates, 1.23 from the base",
    ),
    (
        "clustering",
        {"clusters": [{"clients": ["a"]}, {"clients": ["b", "c", "d"]}], "silhouette": 0.5},
        "2 groups of 3, 1; silhouette 0.50",
    ),
    (
        "metrics",
        {"groups": [{"key": {"round": r}, "values": {"loss": {"mean": 2.0 / r}}} for r in (1, 2, 4)]},
        "clients' loss 2.00 in round 1, 0.50 in round 4",
    ),
    (
        "reputation",
        {"client": "client-7", "reputation": 0.125, "history": [1, 2, 3]},
        "client-7: 0.12 after 3 rounds, 0.5 is unknown",
    ),
    ("inspect", {"tensors": [1, 2], "norm": 3.0, "sparsity": 0.0625}, "2 tensors, norm 3.00, 6.2% zeros"),
    (
        "norms",
        {"norms": [{"client": "client-1", "norm": 1.0}, {"client": "aggregate", "norm": 0.5}]},
        "1 1.00, aggregate 0.50",
    ),
    (
        "personalize",
        {"models": [{"distance": 0.5}, {"distance": 1.0}]},
        "2 models, 0.50, 1.00 from the global one",
    ),
    (
        "provenance",
        {"generations": [{"updates": [1, 2]}, {"updates": [3]}], "verified": None},
        "2 aggregates of 3 updates; made again alike: not tried",
    ),
    ("provenance", {"generations": [], "verified": True}, "0 aggregates of 0 updates; made again alike: yes"),
    ("provenance", {"generations": [], "verified": False}, "0 aggregates of 0 updates; made again alike: no"),
    (
        "unlearn",
        {"client": "client-9", "rounds": [1, 2], "models": [{"distance": 9.0}, {"distance": 0.5}]},
        "9 left out of 2 rounds: 0.50 away",
    ),
    (
        "contribution",
        {
            "contributions": [
                {"client": "a", "value": 0.75},
                {"client": "b", "value": 0.5},
                {"client": "c", "value": -0.25},
            ]
        },
        "most by a (0.75), least by c (-0.25)",
    ),
    (
        "drift",
        {"client": "a", "changes": [{"round": 3}, {"round": 9}], "alignment": 0.5, "relative_norm": 2.0},
        "a: changed in round 3, 9; alignment 0.50, length 2.0 × usual",
    ),
    (
        "drift",
        {"client": "a", "changes": [], "alignment": 0.5, "relative_norm": 1.0},
        "a: no change; alignment 0.50, length 1.0 × usual",
    ),
    (
        "hyperparameters",
        {"effects": [{"name": "lr", "explained": 0.4}], "rounds": [1, 2, 3]},
        "lr explains 40 % of progress over 3 rounds",
    ),
    ("hyperparameters", {"effects": [], "rounds": [1]}, "nothing recorded over 1 rounds"),
    (
        "incentives",
        {"budget": 100, "payments": [{"client": "a", "amount": 60}, {"client": "b", "amount": 40}]},
        "100 paid out, 60 of it to a",
    ),
    (
        "schedule-clusters",
        {"tier": 0, "tiers": [1, 2, 3], "chosen": ["a", "b"], "clusters": [1, 2]},
        "2 clients of speed tier 1 of 3, 2 groups",
    ),
    (
        "schedule-performance",
        {"chosen": [{"why": "explore"}, {"why": "exploit"}], "candidates": [{"client": "a"}]},
        "2 clients, 1 to explore; most useful: a",
    ),
    (
        "stragglers",
        {"slow": ["a"], "advice": {"saved": 0.5, "lost": 0.1, "deadline": 12.345}},
        "1 slow; a deadline of 12 s saves 50 %, loses 10 %",
    ),
]


@pytest.mark.parametrize(("workload", "result", "line"), CASES)
def test_an_answer_is_told_in_a_line(workload: str, result: dict[str, Any], line: str) -> None:
    assert finding(answer(workload, result)) == line


def test_every_line_of_its_own_belongs_to_a_workload_and_has_a_case() -> None:
    assert set(_FINDINGS) == {workload for workload, *_ in CASES}
    assert set(_FINDINGS) <= {name for name, each in registry.load().items() if each.needs is not Needs.MODEL}


def test_an_unknown_workload_is_told_by_its_plain_members_then_by_sizes() -> None:
    result = {"share": 0.123456, "rows": [1, 2], "name": "x", "nothing": None, "count": 3, "deep": {"a": 1}}
    assert finding(answer("theirs", result)) == "share 0.123, name x, count 3, 2 rows, 1 deep"


def test_a_long_line_is_cut() -> None:
    line = finding(answer("theirs", {f"member{index}": index for index in range(20)}))
    assert len(line) == 60
    assert line.endswith("…")
