"""What views draw with: pure functions of what the gateway answers."""

from typing import Any

import pytest

from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key, Request
from services.console import links
from services.console.parts import caching, charts, colours, numbers, spending, training
from services.shard.settings import Settings
from services.shard.state import SHADOWS, create_state
from tests.fakes.store import MemoryStore

# Numbers.


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0.0, "$ 0"), (1.234, "$ 1.23"), (1234.5, "$ 1,234.50"), (0.0000412, "$ 0.0000412"), (float("nan"), "-")],
)
def test_dollars_have_as_many_digits_as_say_something(amount: float, words: str) -> None:
    assert numbers.dollars(amount) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.4217, "0.42 ms"), (17.3, "17 ms"), (1300.0, "1.3 s"), (240_000.0, "4 min")]
)
def test_times_have_the_unit_that_fits(value: float, words: str) -> None:
    assert numbers.milliseconds(value) == words


@pytest.mark.parametrize(
    ("ours", "theirs", "words"), [(1.0, 100.0, "99 % less"), (3.0, 2.0, "50 % more"), (1.0, 0.0, "-")]
)
def test_how_much_less_is_said_in_percent(ours: float, theirs: float, words: str) -> None:
    assert numbers.factor(ours, theirs) == words


def test_an_instant_is_said_in_utc() -> None:
    assert numbers.instant(0.0) == "1970-01-01 00:00:00 UTC"
    assert numbers.instant(None) == "-"


# Addresses.


def test_names_of_any_form_have_addresses() -> None:
    assert links.job("Hospital A/B") == "/jobs/x--Hospital_20A_2fB"
    assert links.round_("mnist", 3) == "/jobs/mnist/rounds/3"
    assert links.client("mnist", "<b>") == "/jobs/mnist/clients/x--_3cb_3e"
    assert links.ask(job="a b", round=3) == "/ask?job=a+b&round=3"


@pytest.mark.parametrize(
    "path", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "", "/a\n"]
)
def test_an_address_from_outside_leads_nowhere_else(path: str) -> None:
    assert links.within(path) == "/"
    assert links.within("/jobs/mnist?by=loss") == "/jobs/mnist?by=loss"


# Pictures.


def test_a_line_for_each_series_in_a_colour_of_its_own() -> None:
    options = charts.lines([0, 1], {"a": [1.0, None], "b": [2.0, 3.0]})
    assert [line["data"] for line in options["series"]] == [[1.0, None], [2.0, 3.0]]
    assert len({line["color"] for line in options["series"]}) == 2
    assert options["legend"]["show"]


def test_a_band_is_stacked_on_its_lower_edge() -> None:
    below, between, middle = charts.band([0, 1], [1.0, None], [2.0, 3.0], [4.0, 5.0], name="m", between="b")["series"]
    assert (below["data"], between["data"], middle["data"]) == ([1.0, None], [3.0, None], [2.0, 3.0])
    assert below["stack"] == between["stack"]
    assert "stack" not in middle


def test_bars_may_lie_on_each_other_and_on_a_logarithmic_axis() -> None:
    options = charts.bars(["mon"], {"here": [1.0], "there": [9.0]}, stacked=True, logarithmic=True)
    assert [series["stack"] for series in options["series"]] == ["all", "all"]
    assert options["yAxis"]["type"] == "log"
    assert charts.bars(["mon"], {"here": [1.0]})["yAxis"]["type"] == "value"


def test_a_map_of_one_value_has_a_scale_all_the_same() -> None:
    options = charts.heat(["0"], ["c"], [(0, 0, 5.0)], low=5.0, high=5.0)
    assert (options["visualMap"]["min"], options["visualMap"]["max"]) == (5.0, 6.0)
    assert options["series"][0]["data"] == [[0, 0, 5.0]]


def test_points_of_each_group_have_a_colour_and_a_shape() -> None:
    first, second = charts.scatter({"one": [(1.0, 2.0, "c0")], "two": [(3.0, 4.0, "c1")]})["series"]
    assert first["data"] == [{"value": [1.0, 2.0], "name": "c0"}]
    assert (first["symbol"], first["color"]) != (second["symbol"], second["color"])


def test_no_picture_moves() -> None:
    every = [
        charts.lines([], {}),
        charts.band([], [], [], [], name="", between=""),
        charts.bars([], {}),
        charts.heat([], [], [], low=0, high=1),
        charts.scatter({}),
        charts.sparkline([]),
    ]
    assert not any(options["animation"] for options in every)


def test_a_scale_goes_from_end_to_end_and_categories_begin_anew() -> None:
    assert colours.scale_colour(-1.0) == colours.scale_colour(0.0) == colours.SCALE[0]
    assert colours.scale_colour(1.0) == colours.scale_colour(2.0) == colours.SCALE[-1]
    assert colours.category(len(colours.CATEGORIES)) == colours.CATEGORIES[0]


# How a training goes.


def overview(rounds: dict[str, list[float | None]], clients: dict[str, list[float | None]]) -> dict[str, Any]:
    return {"round_metrics": rounds, "metrics": {name: {"p50": values} for name, values in clients.items()}}


def test_accuracy_and_loss_come_first_those_of_the_rounds_before_those_of_clients() -> None:
    known = overview({"accuracy": [0.5]}, {"val_loss": [1.0], "loss": [2.0], "accuracy": [0.1], "duration": [3.0]})
    assert training.headlines(known) == {"accuracy": [0.5], "loss": [2.0]}


def test_metrics_that_say_nothing_of_the_training_are_no_headlines() -> None:
    assert training.headlines(overview({}, {"duration": [3.0], "loss": [None]})) == {}


def test_the_newest_value_is_the_last_that_is_there() -> None:
    assert training.newest([1.0, 2.0, None]) == 2.0
    assert training.newest([None]) is None


# Memory.


def counters(requests: int, hits: int) -> dict[str, int]:
    return {"requests": requests, "hits": hits}


def inventory(requests: int, hits: int, **more: Any) -> dict[str, Any]:
    return {"policy": "tailored", "overall": counters(requests, hits), "P2": counters(requests, hits), **more}


def test_hit_rates_are_of_all_requests_together() -> None:
    assert caching.by_pattern([inventory(10, 9), inventory(30, 11)]) == {
        "one model": None,
        "a round's updates": 0.5,
        "one client's updates": None,
        "metadata": None,
    }


def test_rivals_stand_beside_what_is_in_use() -> None:
    shadows = {"lru": {"P1": counters(4, 0), "P2": counters(6, 2)}, "fifo": {"P2": counters(10, 1)}}
    rates = caching.rivals([inventory(10, 9, shadows=shadows), inventory(0, 0)])
    assert list(rates.items()) == [("tailored", 0.9), ("fifo", 0.1), ("lru", 0.2)]
    assert caching.rivals([]) == {}


def test_what_a_shard_says_of_rivals_is_understood() -> None:
    settings = Settings(cache_bytes=1000)
    cache = create_state(settings, MemoryStore(), lambda: 0.0).engine._cache
    cache.request(Request("job", "aggregate", Pattern.P2, (Key("job", 0, "ada"),)))
    assert caching.rivals([cache.snapshot()]) == dict.fromkeys(SHADOWS, 0.0)


def test_evictions_are_summed_by_reason() -> None:
    shards = [
        inventory(1, 1, eviction_reasons={"old": 1, "untracked": 5}),
        inventory(1, 1, eviction_reasons={"old": 2}),
    ]
    assert list(caching.evictions(shards).items()) == [("untracked", 5), ("old", 3)]


def test_a_backend_at_zero_holds_nothing_that_could_be_told() -> None:
    zero, awake = caching.backends(
        {
            "shards": [
                {"shard": "shard-0", "state": "zero", "starts": 3},
                {"shard": "shard-1", "state": "awake", "inventory": {"used_bytes": 5, "budget_bytes": 9}},
            ]
        }
    )
    assert (zero.at_zero, zero.used_bytes, zero.starts) == (True, None, 3)
    assert (awake.at_zero, awake.used_bytes, awake.budget_bytes) == (False, 5, 9)


# Costs.


def spent(kind: str, dollars: float, objstore: float, day: str = "2026-11-27") -> dict[str, Any]:
    return {
        "day": day,
        "kind": kind,
        "requests": 1,
        "dollars": dollars,
        "objstore_dollars": objstore,
        "cache_dollars": objstore,
    }


def test_kinds_are_ordered_by_what_they_cost() -> None:
    rows = [spent("clustering", 1.0, 9.0), spent("cosine-similarity", 2.0, 9.0), spent("clustering", 3.0, 9.0)]
    kinds = spending.by_kind(rows)
    assert [(name, each.requests, each.dollars) for name, each in kinds.items()] == [
        ("clustering", 2, 4.0),
        ("cosine-similarity", 1, 2.0),
    ]


def test_what_the_baselines_do_not_answer_is_not_compared() -> None:
    total = spending.compared([spent("ingest", 5.0, 0.0), spent("clustering", 1.0, 9.0)])
    assert (total.requests, total.dollars, total.objstore) == (1, 1.0, 9.0)
