"""Hyperparameters against SciPy's rank correlation and analysis of variance, and on planted effects."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import f_oneway

from flstore_core.errors import InvalidParameters, NotEnoughData
from flstore_core.records import Round
from flstore_core.workloads import RoundData
from flstore_core.workloads.hyperparameters import Hyperparameters, HyperparametersParams, correlation_ratio
from tests.workloads.rounds import Index, ask

ASKED = Hyperparameters()


def history(losses: list[float], **settings: list[Any]) -> list[RoundData]:
    """Round 0 without hyperparameters, then one round for each value."""
    found = [RoundData(Round(0, None, (), metrics={"loss": losses[0]}))]
    for number, loss in enumerate(losses[1:], start=1):
        chosen = {name: values[number - 1] for name, values in settings.items()}
        found.append(RoundData(Round(number, None, (), metrics={"loss": loss}, hyperparameters=chosen)))
    return found


def test_variance_explained_agrees_with_scipys_analysis_of_variance() -> None:
    rng = np.random.default_rng(1)
    rates = [0.1, 0.2, 0.3] * 5
    losses = list(np.cumprod([10.0, *(1 - 0.1 * rate - 0.01 * rng.random() for rate in rates)]))
    answer = ask(ASKED, history(losses, rate=rates))
    groups = [[p for p, r in zip(answer.progress, rates, strict=True) if r == rate] for rate in (0.1, 0.2, 0.3)]
    f = f_oneway(*groups).statistic
    (effect,) = answer.effects
    assert effect.explained == pytest.approx(2 * f / (2 * f + 12))
    assert effect.values[0].progress == pytest.approx(np.mean(groups[2]))
    assert effect.values[0].standard_error == pytest.approx(np.std(groups[2], ddof=1) / 5**0.5)


def test_the_hyperparameter_with_an_effect_comes_first_and_the_best_setting_is_named() -> None:
    rates, batches = [0.25, 0.5, 0.25, 0.5, 0.5, 0.25] * 2, [8, 8, 16, 16, 8, 16] * 2
    losses = list(np.cumprod([5.0, *(1 - rate for rate in rates)]))
    answer = ask(ASKED, history(losses, rate=rates, batch=batches, hidden=[[64, 64]] * 12))
    first, *others = answer.effects
    assert (first.name, first.explained, first.correlation) == ("rate", pytest.approx(1), pytest.approx(1))
    assert [value.value for value in first.values] == ["0.5", "0.25"]
    assert {each.name: each.correlation for each in others}["hidden"] is None
    assert answer.best.hyperparameters["rate"] == 0.5
    assert ask(ASKED, history(losses, rate=rates), least_rounds=7).best is None


def test_progress_by_hand() -> None:
    rounds = history([4.0, 3.0, 3.0, 6.0], rate=[1, 2, 3])
    assert ask(ASKED, rounds).progress == pytest.approx([0.25, 0, -1])
    assert ask(ASKED, rounds, relative=False, better="higher").progress == pytest.approx([-1, 0, 3])


def test_a_value_that_follows_from_the_round_has_no_correlation_of_its_own() -> None:
    (effect,) = ask(ASKED, history([8.0, 4.0, 3.0, 2.9], rate=[3, 2, 1])).effects
    assert effect.correlation_at_fixed_round is None
    assert effect.correlation == pytest.approx(1)


def test_settings_that_never_change_explain_nothing() -> None:
    (effect,) = ask(ASKED, history([3.0, 2.0, 1.5], rate=[1, 1])).effects
    assert (effect.explained, effect.correlation) == (0, None)
    (still,) = ask(ASKED, history([0.0, 0.0, 0.0], rate=[1, 2])).effects
    assert (still.explained, still.correlation) == (0, None)


@pytest.mark.parametrize("losses", [[1.0], [1.0, 2.0]])
def test_too_few_rounds_are_refused(losses: list[float]) -> None:
    with pytest.raises(NotEnoughData, match="at least 2"):
        ask(ASKED, history(losses, rate=[1.0]))


def test_the_documented_example_of_the_correlation_ratio() -> None:
    assert correlation_ratio([np.array([1.0, 1]), np.array([3.0, 3])]) == 1
    assert correlation_ratio([np.array([1.0, 3]), np.array([1.0, 3])]) == 0
    assert correlation_ratio([np.array([1.0, 3])]) == 0


@given(st.lists(st.lists(st.floats(-10, 10), min_size=2, max_size=5), min_size=2, max_size=4))
def test_the_correlation_ratio_is_what_a_mean_per_group_explains(groups: list[list[float]]) -> None:
    everything = np.concatenate(groups)
    left = sum(((np.array(group) - np.mean(group)) ** 2).sum() for group in groups)
    total = ((everything - everything.mean()) ** 2).sum()
    expected = 1 - left / total if total > 1e-9 else None
    found = correlation_ratio([np.array(group) for group in groups])
    assert 0 <= found <= 1
    assert expected is None or found == pytest.approx(expected, abs=1e-6)


def test_effects_come_by_how_much_they_explain_and_values_by_progress() -> None:
    losses = [10.0, 9.0, 8.0, 4.0, 2.0]
    answer = ask(ASKED, history(losses, rate=[1, 1, 2, 2], batch=[8, 16, 8, 16]))
    assert [effect.name for effect in answer.effects] == ["rate", "batch"]
    assert [(value.value, value.rounds) for value in answer.effects[0].values] == [("2", 2), ("1", 2)]
    assert answer.best.hyperparameters == {"rate": 2, "batch": 8}
    assert (answer.best.rounds, answer.best.progress) == ([3], pytest.approx(0.5))
    assert answer.rounds == [1, 2, 3, 4]


def test_a_value_used_once_has_no_standard_error() -> None:
    (effect,) = ask(ASKED, history([4.0, 2.0, 1.0, 0.5], rate=[1, 2, 2])).effects
    assert {value.value: value.standard_error for value in effect.values} == {"1": None, "2": 0.0}


@pytest.mark.parametrize("value", [True, "adam", None, [1], {"x": 1}, 10**400])
def test_values_that_are_no_numbers_have_no_correlation(value: Any) -> None:
    (effect,) = ask(ASKED, history([4.0, 3.0, 1.0], rate=[1, value])).effects
    assert (effect.correlation, effect.correlation_at_fixed_round) == (None, None)
    assert effect.explained == pytest.approx(1)


def test_a_hyperparameter_that_some_rounds_lack_is_judged_by_the_others() -> None:
    rounds = history([8.0, 4.0, 3.0], rate=[1, 2])
    rounds.append(RoundData(Round(3, None, (), metrics={"loss": 1.0}, hyperparameters={"rate": 1, "momentum": 0.9})))
    effects = {effect.name: effect for effect in ask(ASKED, rounds).effects}
    assert [value.rounds for value in effects["momentum"].values] == [1]
    assert effects["momentum"].explained == 0
    assert sum(value.rounds for value in effects["rate"].values) == 3


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="'loss' reaches"):
        ask(ASKED, history([1e300, 2.0, 1.0], rate=[1, 2]))
    with pytest.raises(NotEnoughData, match=r"0 round\(s\) have hyperparameters, and 'accuracy' both .* name another"):
        ask(ASKED, history([3.0, 2.0, 1.0], rate=[1, 2]), metric="accuracy")
    assert ASKED.select(HyperparametersParams(first=1, last=2), Index(committed=[0, 1, 2, 3])) == [1, 2]
