"""An answer of which nobody said how it is shown, and one whose package did."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flstore_core.presentation import Facts, HeatMap, Listing, Table, View, general, present
from flstore_core.presentation.words import counted, listed, spans
from flstore_core.workloads import registry


def parts(**answer: Any) -> list[Any]:
    return list(general.parts(answer))


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        ({}, "the answer is empty"),
        ({"round": 3, "total": 0.51234}, "round 3, total 0.5123"),
        ({"suspects": ["a"], "rows": [{"client": "a"}, {"client": "b"}]}, "suspects: a (1 of 2)"),
        ({"left_out": []}, "left out: none (0)"),
        ({"chosen": list("abcdefgh")}, "chosen: a, b, c, d, e, f and 2 more (8)"),
        ({"scores": [{"client": "a", "score": 2}]}, "scores: the first of 1 is client a, score 2"),
        (
            {"norms": {"e": 1.0, "f": 2.0, "g": 9.0, "h": 3.0, "i": 4.0}},
            "norms: the first of 5 is of g, value 9",
        ),
    ],
)  # fmt: skip
def test_the_finding_names_whom_the_answer_names(answer: dict[str, Any], finding: str) -> None:
    assert general.finding(answer) == finding


def test_rows_with_a_true_boolean_come_first_and_the_flag_beside_the_name() -> None:
    rows = [{"score": 1.5, "client": "a", "slow": False}, {"score": 0.5, "client": "b", "slow": True}]
    assert parts(rows=rows) == [
        Table("rows, slow first", ["client", "slow", "score"], [["b", True, 0.5], ["a", False, 1.5]])
    ]


def test_an_order_of_names_ranks_nothing_and_any_other_stays() -> None:
    by_name = [{"client": "a", "score": 1}, {"client": "b", "score": 3}, {"client": "c", "score": 2}]
    (table,) = parts(rows=by_name)
    assert (table.title, [row[0] for row in table.rows]) == ("rows, by score", ["b", "c", "a"])
    ranked = [by_name[2], by_name[0], by_name[1]]
    (table,) = parts(rows=ranked)
    assert (table.title, [row[0] for row in table.rows]) == ("rows", ["c", "a", "b"])
    (table,) = parts(rows=[{"round": 1, "score": 1}, {"round": 2, "score": 5}])
    assert [row[0] for row in table.rows] == [1, 2], "the order of rounds is one of time"


def test_nested_objects_become_columns_and_lists_of_objects_their_length() -> None:
    rows = [{"client": "a", "artifact": {"href": "/x", "nbytes": 4}, "classes": [{"label": 0}, {"label": 1}]}]
    assert parts(rows=rows) == [
        Table("rows", ["client", "artifact href", "artifact nbytes", "classes"], [["a", "/x", 4, 2]])
    ]


def test_columns_in_which_nothing_stands_are_left_out() -> None:
    assert parts(rows=[{"client": "a", "trust": None, "reasons": [], "n": 0}]) == [
        Table("rows", ["client", "n"], [["a", 0]])
    ]


def test_a_square_matrix_is_a_heat_map_named_by_the_one_list_of_as_many_names() -> None:
    square = [[1.0, -0.5], [-0.5, 1.0]]
    assert parts(clients=["a", "b"], square=square)[0] == HeatMap("square", ["a", "b"], square, -1.0, 1.0)
    assert parts(clients=["a", "b"], more=["c", "d"], square=square)[0].names == ["0", "1"]
    assert parts(square=[[2.0, 3.0], [3.0, 4.0]])[0] == HeatMap(
        "square", ["0", "1"], [[2.0, 3.0], [3.0, 4.0]], 2.0, 4.0
    )


def test_lists_of_lists_are_rows_however_long() -> None:
    assert parts(ragged=[[1], [2, 3], []]) == [
        Table("ragged", ["", "0", "1"], [[0, 1, None], [1, 2, 3], [2, None, None]])
    ]
    assert parts(mixed=[4, [5]]) == [Table("mixed", ["", "0"], [[0, 4], [1, 5]])]


def test_objects_are_facts_and_what_is_in_them_follows() -> None:
    answer = {"advice": {"deadline": 3.5, "late": [{"client": "a"}]}, "round": 7}
    assert parts(**answer) == [
        Facts("advice", {"deadline": 3.5}),
        Table("advice late", ["client"], [["a"]]),
        Facts("", {"round": 7}),
    ]
    assert parts(by_name={"x": {"n": 1}, "y": {"n": 2}}) == [Table("by name, by n", ["of", "n"], [["y", 2], ["x", 1]])]


class Planted:
    name = "planted"
    view = View(lambda answer: f"{answer['n']} in all", [Listing("rows", ["n"])], ["n"])


def test_a_workload_of_a_package_says_itself_how_it_is_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "get", lambda name: Planted())
    found = present("planted", {"n": 2, "rows": [{"n": 1}, {"n": 2}]})
    assert found.finding == "2 in all"
    assert found.parts == [Table("", ["n"], [[1], [2]])]


@pytest.mark.parametrize(
    ("numbers", "text"), [([], ""), ([4], "4"), ([0, 1, 2, 5, 7, 8], "0-2, 5, 7-8"), ([3, 3], "3, 3")]
)
def test_runs_of_numbers_are_drawn_together(numbers: list[int], text: str) -> None:
    assert spans(numbers) == text


def test_counts_have_their_nouns() -> None:
    assert (counted(1, "client"), counted(1000, "client"), counted(2, "loss", "losses")) == (
        "1 client",
        "1,000 clients",
        "2 losses",
    )
    assert listed(["a"] * 9, most=2) == "a, a and 7 more"


def test_the_view_that_the_documentation_shows_fits_the_workload_that_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "workloads.md").read_text()
    (code,) = re.findall(r"<!-- view: begin -->\n```python\n(.*?)```", page, re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    workload = SimpleNamespace(view=namespace["view"])
    monkeypatch.setattr(registry, "get", lambda name: workload)
    found = present("longest-updates", {"norms": {"c0": 1.0, "c1": 3.0}})
    assert found.finding == "c1 sent the longest update: 3"
    assert found.parts == [Table("the longest first", ["client", "length"], [["c1", 3.0], ["c0", 1.0]])]
