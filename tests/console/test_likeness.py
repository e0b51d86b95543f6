"""What a round's pictures show."""

from typing import Any

import numpy as np
import pytest

from services.console.parts import likeness

ANSWER: dict[str, Any] = {
    "clients": ["a", "b", "c"],
    "matrix": [[1.0, 0.9, -1.0], [0.9, 1.0, -0.9], [-1.0, -0.9, 1.0]],
    "norms": [1.0, 2.0, 1.0],
}


def test_all_of_few_clients_are_drawn() -> None:
    assert likeness.choose(["c", "a", "b"], ["b"], 3) == ["c", "a", "b"]


def test_of_many_the_accused_are_drawn_among_others() -> None:
    clients = [f"c{number:04}" for number in range(1000)]
    drawn = likeness.choose(clients, ["c0500", "c0007"], 50)
    assert {"c0500", "c0007", "c0000", "c0999"} <= set(drawn)
    assert len(drawn) == 50
    assert drawn == sorted(drawn)
    assert len(likeness.choose(clients, clients, 50)) == 50


def test_the_map_of_similarities_has_clusters_side_by_side() -> None:
    options = likeness.similarity_map(["a", "b", "c"], ANSWER["matrix"], [0, 1, 0])
    assert options["yAxis"]["data"] == options["xAxis"]["data"] == ["a", "c", "b"]
    assert (1, 0, -1.0) in {tuple(cell) for cell in options["series"][0]["data"]}


def test_points_are_grouped_by_cluster_and_the_accused_apart() -> None:
    options, stress = likeness.plane(["a", "b", "c"], ANSWER, [0, 0, 1], ["c"])
    groups = {series["name"]: [point["name"] for point in series["data"]] for series in options["series"]}
    assert groups == {"cluster 1": ["a", "b"], "accused": ["c"]}
    assert list(groups)[-1] == "accused"  # drawn over the others
    assert stress == pytest.approx(0.0, abs=1e-6)


def test_distances_in_the_plane_are_those_of_the_deltas() -> None:
    options, _ = likeness.plane(["a", "b", "c"], ANSWER, [-1, -1, -1], [])
    (series,) = options["series"]
    assert series["name"] == "no cluster"
    points = np.array([point["value"] for point in series["data"]])
    assert np.linalg.norm(points[0] - points[2]) == pytest.approx(2.0, abs=1e-4)


def test_norms_are_shown_in_doublings_of_the_median() -> None:
    options = likeness.norms_map(["a", "b", "c"], ["w", "z"], [[1.0, 0.0], [2.0, 0.0], [800.0, 1.0]])
    cells = {(x, y): value for x, y, value in options["series"][0]["data"]}
    assert (cells[0, 0], cells[0, 1], cells[0, 2]) == (-1.0, 0.0, 3.0)
    assert (cells[1, 0], cells[1, 2]) == (0.0, 3.0)
    assert likeness.norms_map([], [], [])["series"][0]["data"] == []


def test_a_standard_error_is_a_line_through_the_end_of_its_bar() -> None:
    rows = [{"value": 0.5, "standard_error": 0.1}, {"value": 0.2, "standard_error": 0.0}]
    bars, whiskers = likeness.contributions(["a", "b"], rows)["series"]
    assert bars["data"] == [0.5, 0.2]
    assert whiskers["data"] == [[0.5, 0.5, 0.4, 0.6], [0.2, 0.2, 0.2, 0.2]]
    assert len(likeness.contributions(["a"], [{"value": 1.0, "standard_error": 0.0}])["series"]) == 1


def test_late_is_who_came_much_after_the_others() -> None:
    assert likeness.late({"a": 0.0, "b": 1.0, "c": 2.0, "d": 90.0, "e": 1.5, "f": 30.0}) == ["d"]
    assert likeness.late({"a": 0.0, "b": 1.0, "c": 900.0}) == []
    assert likeness.late({"a": 5.0, "b": 5.0, "c": 5.0, "d": 5.0}) == []


def test_verdicts_are_said_in_words() -> None:
    good, bad = {"client": "a", "malicious": False}, {"client": "b", "malicious": True}
    assert likeness.say_verdicts(3, [good]) == "None of 1 client of round 3 looks malicious."
    assert likeness.say_verdicts(3, [good, bad]) == "1 of 2 clients of round 3 looks malicious: b."
    assert likeness.say_verdicts(3, [bad, bad, good]) == "2 of 3 clients of round 3 look malicious: b, b."
