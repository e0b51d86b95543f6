"""Spreads by round, the map of participations, a client's series."""

import json

from flstore_core.ids import ClientId, encode
from flstore_core.overviews import participation, series, spreads
from tests.overviews.rounds import losses, numbers

A, B, C = (ClientId(name) for name in "abc")


def test_a_point_for_each_round_while_there_are_enough() -> None:
    drawn = spreads([losses(4, a=1.0, b=3.0), numbers(7, {"a": {}}, accuracy=0.5)], points=2)
    assert (drawn["rounds"], drawn["per_point"], drawn["clients"]) == ([4, 7], 1, [2.0, 1.0])
    loss = drawn["metrics"]["loss"]
    assert (loss["low"], loss["p50"], loss["high"], loss["count"]) == (
        [1.0, None],
        [2.0, None],
        [3.0, None],
        [2.0, 0.0],
    )
    assert drawn["round_metrics"] == {"accuracy": [None, 0.5]}


def test_rounds_are_put_together_where_there_are_more_than_points() -> None:
    drawn = spreads([losses(0, a=1.0), losses(1, a=4.0, b=4.0), losses(2, a=9.0)], points=2)
    assert (drawn["rounds"], drawn["per_point"], drawn["clients"]) == ([0, 2], 2, [1.5, 1.0])
    loss = drawn["metrics"]["loss"]
    assert (loss["low"], loss["high"], loss["count"]) == ([1.0, 9.0], [4.0, 9.0], [3.0, 1.0])
    assert (loss["p50"], loss["mean"]) == ([3.0, 9.0], [3.0, 9.0])  # two clients at 4 weigh twice as much as one at 1


def test_no_rounds_make_no_points() -> None:
    assert spreads([], points=5) == {
        "rounds": [],
        "per_point": 1,
        "committed_at": [],
        "clients": [],
        "metrics": {},
        "round_metrics": {},
    }


def test_the_map_counts_rounds_and_averages_a_metric() -> None:
    rounds = [losses(0, a=0.2, b=0.4), losses(1, a=0.4, b=0.4), losses(2, a=0.1)]
    drawn = participation(rounds, [A, B, C], columns=2, metric="loss")
    assert (drawn["rounds"], drawn["per_column"], drawn["participations"]) == ([0, 2], 2, [3, 2, 0])
    assert drawn["counts"] == [[2, 1], [2, 0], [0, 0]]
    assert drawn["values"] == [[0.30000000000000004, 0.1], [0.4, None], [None, None]]


def test_a_client_without_the_metric_took_part_all_the_same() -> None:
    drawn = participation([numbers(0, {"a": {}, "b": {"loss": 1.0}})], [A, B], columns=9, metric="loss")
    assert (drawn["counts"], drawn["values"]) == ([[1], [1]], [[None], [1.0]])


def test_a_map_of_nothing_is_a_map() -> None:
    drawn = participation([], [A], columns=9)
    assert (drawn["rounds"], drawn["counts"], drawn["values"]) == ([], [[]], None)
    assert participation([losses(0, a=1.0)], [], columns=9)["counts"] == []


def test_names_are_those_that_were_given() -> None:
    name = ClientId(encode("Hospital A"))
    rounds = [losses(0, **{name: 1.0, "b": 2.0})]
    assert participation(rounds, [name], columns=1)["clients"] == ["Hospital A"]
    assert series(rounds, name)["client"] == "Hospital A"


def test_a_longer_name_is_not_taken_for_its_beginning() -> None:
    rounds = [losses(0, ab=1.0)]
    assert participation(rounds, [A, ClientId("ab"), ClientId("abc")], columns=1)["counts"] == [[0], [1], [0]]


def test_a_series_has_the_rounds_of_its_client_beside_the_others() -> None:
    rounds = [losses(0, a=1.0, b=3.0), losses(1, b=2.0), numbers(2, {"a": {"n": 5}}), losses(3, a=2.0)]
    drawn = series(rounds, A)
    assert (drawn["rounds"], drawn["clients"], drawn["committed_at"]) == ([0, 2, 3], [2, 1, 1], [100.0, 102.0, 103.0])
    loss = drawn["metrics"]["loss"]
    assert (loss["value"], loss["p25"], loss["p50"]) == ([1.0, None, 2.0], [1.5, None, 2.0], [2.0, None, 2.0])
    assert drawn["metrics"]["n"]["value"] == [None, 5.0, None]


def test_a_client_that_took_part_in_none_has_an_empty_series() -> None:
    assert series([losses(0, b=1.0)], A)["rounds"] == []


def test_all_of_them_are_json() -> None:
    rounds = [losses(0, a=1.0), numbers(1, {"b": {}})]
    for drawn in (spreads(rounds, 5), participation(rounds, [A, B], 5, "loss"), series(rounds, A)):
        json.dumps(drawn, allow_nan=False)
