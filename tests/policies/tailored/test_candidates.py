"""When a group of objects is worth holding, and how much."""

from collections.abc import Callable

import pytest

from flstore_core.patterns import Pattern
from flstore_core.policies.tailored.candidates import LEAST_CHANCE, PRIORS, STICKINESS, Candidate, Hazards
from flstore_core.policies.tailored.hazard import Hazard
from flstore_core.policies.tailored.known_rounds import Group
from tests.policies.tailored.parts import Steady, candidate, update, updates


def test_the_example_in_the_module() -> None:
    newest = candidate(updates(7), requests_per_s=0.3)
    assert newest.judge(now=0.0, horizon=1.0) == pytest.approx(0.015)
    newest.set_planned(True)
    assert newest.judge(now=0.0, horizon=1.0) == pytest.approx(0.0195)


def test_an_empty_group_is_never_worth_holding() -> None:
    assert candidate(Group(), requests_per_s=1e9).judge(now=0.0, horizon=1.0) == 0.0


@pytest.mark.parametrize("objects", [1, 2, 5])
def test_the_least_chance_grows_with_the_objects_and_is_halved_once_planned(objects: int) -> None:
    least = LEAST_CHANCE * objects
    enough, little = (candidate(updates(1, "abcde"[:objects]), least * part) for part in (1.001, 0.999))
    assert enough.judge(now=0.0, horizon=1.0) > 0.0
    assert little.judge(now=0.0, horizon=1.0) == 0.0
    little.set_planned(True)
    little.hazard = Steady(0.5 * least / STICKINESS * 1.001)
    assert little.judge(now=0.0, horizon=1.0) > 0.0


def test_a_chance_is_the_rate_over_the_horizon() -> None:
    group = updates(1, "a")
    assert candidate(group, LEAST_CHANCE / 8).judge(now=0.0, horizon=4.0) == 0.0
    assert candidate(group, LEAST_CHANCE / 8).judge(now=0.0, horizon=8.0) > 0.0


@pytest.mark.parametrize(("age", "dormant_for"), [(1.0, 4.0), (10.0, 10.0)])
def test_what_is_worth_nothing_is_left_alone_until_its_age_has_doubled(age: float, dormant_for: float) -> None:
    """But never for less than the time to the next request."""
    worthless = candidate(updates(1), requests_per_s=0.0)
    worthless.judge(now=age, horizon=4.0)
    assert worthless.dormant_until == pytest.approx(age + dormant_for)


def test_news_of_a_group_end_its_dormancy() -> None:
    worthless = candidate(updates(1), requests_per_s=0.0)
    news: list[Callable[[], None]] = [
        lambda: worthless.set_group(updates(2)),
        lambda: worthless.start_age(Steady(0.0), 2.0),
        lambda: worthless.set_planned(not worthless.planned),
    ]
    for wake in news:
        worthless.judge(now=3.0, horizon=1.0)
        assert worthless.dormant_until > 3.0
        wake()
        assert worthless.dormant_until == 0.0


def test_planning_what_is_planned_changes_nothing() -> None:
    planned = candidate(updates(1), requests_per_s=0.0)
    planned.set_planned(True)
    planned.judge(now=3.0, horizon=1.0)
    before = planned.dormant_until
    planned.set_planned(True)
    assert planned.dormant_until == before > 0.0


def test_age_counts_from_the_second_that_was_named() -> None:
    class ByAge(Hazard):
        def rate(self, age: float, horizon: float) -> float:
            return age

    rising = Candidate("newest round", Pattern.P2, ByAge(0.0), 5.0, updates(1, "a"))
    assert rising.judge(now=8.0, horizon=1.0) == pytest.approx(3.0 / 10)
    rising.start_age(ByAge(0.0), 7.0)
    assert rising.judge(now=8.0, horizon=1.0) == pytest.approx(1.0 / 10)


def test_a_group_that_grew_is_counted_again_when_it_is_set_again() -> None:
    group = updates(1, "a")
    growing = candidate(group)
    growing.changed = False
    group.add(update(1, "b"), 30)
    assert growing.bytes == 10
    growing.set_group(group)
    assert (growing.bytes, growing.changed) == (40, True)


def test_variants_of_a_kind_share_its_prior_and_learn_apart() -> None:
    hazards = Hazards(learning=True)
    audit, replay = hazards.get("scan started", "audit"), hazards.get("scan started", "replay")
    assert hazards.get("scan started", "audit") is audit
    assert audit.prior == replay.prior == PRIORS["scan started"]
    audit.observe_request(1.5)
    assert audit.rate(1.5, 1.0) > replay.rate(1.5, 1.0)


def test_a_kind_without_a_prior_is_refused() -> None:
    with pytest.raises(KeyError, match="rumour"):
        Hazards(learning=True).get("rumour")


def test_hazards_fade_together_and_learn_nothing_without_adaptation() -> None:
    hazards, fixed = Hazards(learning=True), Hazards(learning=False)
    for each in (hazards, fixed):
        for kind in ("newest round", "newest model"):
            each.get(kind).observe_request(1.5)
    hazards.fade(0.0)
    for kind in ("newest round", "newest model"):
        assert hazards.get(kind).rate(1.5, 1.0) == pytest.approx(fixed.get(kind).rate(1.5, 1.0))
