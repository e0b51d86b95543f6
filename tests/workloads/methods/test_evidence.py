"""Evidence against updates: each kind of attack gives its own reason, and no attacker moves what is usual."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.workloads.methods.evidence import (
    BYZANTINE,
    Evidence,
    Thresholds,
    gather,
    gather_alone,
    resemblances,
)
from flstore_core.workloads.methods.geometry import alignments, cosines, norms
from flstore_core.workloads.methods.krum import krum_scores, tolerated
from flstore_core.workloads.methods.z2_synchronization import PRIOR
from tests.workloads.methods.arrays import Float64, gram_of, seeds, vectors

LIMITS = Thresholds()
ARRAYS = [field.name for field in fields(Evidence) if field.name != "usual_norm"]


def agreeing(clients: int = 10, seed: int = 0) -> Float64:
    """Return updates that share half of what they say."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.standard_normal(500) + rng.standard_normal((clients, 500)))


def accused(evidence: Evidence, limits: Thresholds = LIMITS) -> dict[int, list[str]]:
    """Return the reasons against each update that is accused, by row."""
    reasons = {row: evidence.reasons(row, limits) for row in range(len(evidence.norm))}
    return {row: why for row, why in reasons.items() if why}


@pytest.mark.parametrize("attackers", [1, 2, 3])
@pytest.mark.parametrize(
    ("factor", "noisy", "reason"),
    [
        (-1.0, 0.0, "points the opposite way: log odds"),
        (30.0, 0.0, "is much longer than the others"),
        (0.0, 20.0, "lies"),
        (0.0, 1.4, "resembles nobody"),
        (1e-5, 0.0, "contributes next to nothing"),
        (0.0, 0.0, "contributes next to nothing"),
    ],
    ids=["turned", "scaled", "long noise", "noise", "tiny", "zero"],
)
def test_each_attack_is_accused_with_its_reason_and_nobody_else(
    attackers: int, factor: float, noisy: float, reason: str
) -> None:
    rows = agreeing(12)
    for row in range(attackers):
        rows[row] = factor * rows[row] + noisy * np.random.default_rng(100 + row).standard_normal(500)
    found = accused(gather_alone(gram_of(rows)))
    assert list(found) == list(range(attackers))
    assert all(any(reason in why for why in reasons) for reasons in found.values())


@given(st.integers(4, 12), seeds)
@settings(max_examples=30)
def test_updates_that_agree_accuse_nobody(clients: int, seed: int) -> None:
    assert accused(gather_alone(gram_of(agreeing(clients, seed)))) == {}


@pytest.mark.parametrize("rows", [np.ones((6, 9)), np.zeros((6, 9)), np.eye(6)], ids=["equal", "zero", "orthogonal"])
def test_updates_that_are_all_of_a_kind_accuse_nobody(rows: Float64) -> None:
    assert accused(gather_alone(gram_of(rows))) == {}


def test_measures_are_those_of_the_methods_named() -> None:
    gram = gram_of(agreeing(7))
    against = np.linspace(-3, 3, 7)
    evidence = gather(gram, against, byzantine=0.2)
    np.testing.assert_array_equal(evidence.norm, norms(gram))
    assert evidence.usual_norm == np.median(norms(gram))
    np.testing.assert_array_equal(evidence.alignment, alignments(gram))
    np.testing.assert_array_equal(evidence.krum, krum_scores(gram, tolerated(7, 0.2)))
    np.testing.assert_array_equal(evidence.opposition, against)


def test_alone_a_round_judges_like_many_rounds_of_which_there_is_one() -> None:
    gram = gram_of(np.eye(5))
    alone, told = gather_alone(gram), gather(gram, np.full(5, -PRIOR), BYZANTINE)
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(alone, name), getattr(told, name), err_msg=name)


def test_a_few_attackers_do_not_move_what_is_usual_for_the_others() -> None:
    honest = agreeing(12)
    rows = honest.copy()
    rows[:3] *= -50
    before, after = gather_alone(gram_of(honest)), gather_alone(gram_of(rows))
    assert after.usual_norm == pytest.approx(before.usual_norm, rel=0.1)
    np.testing.assert_allclose(after.norm_score[3:], before.norm_score[3:], atol=1.0)
    assert (after.norm_score[:3] > 10).all()


@given(seeds)
@settings(max_examples=20)
def test_the_order_of_clients_changes_no_evidence(seed: int) -> None:
    rows = agreeing(8, seed)
    rows[0] *= -1
    order = np.random.default_rng(seed).permutation(8)
    straight, shuffled = gather_alone(gram_of(rows)), gather_alone(gram_of(rows[order]))
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(shuffled, name), getattr(straight, name)[order], atol=1e-6, err_msg=name)


@given(seeds, st.floats(1e-3, 1e3))
@settings(max_examples=20)
def test_one_scale_for_all_changes_no_score(seed: int, factor: float) -> None:
    rows = agreeing(8, seed)
    straight, scaled = gather_alone(gram_of(rows)), gather_alone(gram_of(factor * rows))
    for name in ("norm_score", "alignment_score", "krum_score", "resemblance", "company", "opposition"):
        np.testing.assert_allclose(getattr(scaled, name), getattr(straight, name), atol=1e-5, err_msg=name)


def one(**measures: float) -> Evidence:
    """Return the evidence on one ordinary update, but for the measures given."""
    ordinary = {
        "norm": 1.0,
        "norm_score": 0.0,
        "alignment": 0.5,
        "alignment_score": 0.0,
        "krum": 1.0,
        "krum_score": 0.0,
        "resemblance": 1.0,
        "company": 0.5,
        "opposition": 0.0,
    }
    return Evidence(usual_norm=1.0, **{name: np.array([value]) for name, value in (ordinary | measures).items()})


AWAY = {"alignment": -0.3, "company": 0.0, "alignment_score": -4.0}
OUTSIDE = {"alignment": 0.0, "company": 0.0, "norm_score": 3.0, "krum_score": 6.0}


@pytest.mark.parametrize(
    ("measures", "count"),
    [
        ({}, 0),
        ({"opposition": 1.4}, 0),
        ({"opposition": 1.6}, 1),
        ({"norm_score": 5.9}, 0),
        ({"norm_score": 6.1}, 1),
        ({"norm": 0.0099}, 1),
        ({"norm": 0.0101}, 0),
        (AWAY, 1),
        (AWAY | {"opposition": -2.5}, 0),  # rounds speak for the client
        (AWAY | {"company": 0.2}, 0),  # an aligned client goes the same way
        (AWAY | {"alignment": -0.05}, 0),  # it is not aligned, but does not point away
        (AWAY | {"alignment_score": -3.4}, 0),
        (OUTSIDE, 1),
        (OUTSIDE | {"company": 0.2}, 0),
        (OUTSIDE | {"alignment": 0.2}, 0),
        (OUTSIDE | {"norm_score": 1.9}, 0),  # far out, and not long
        (OUTSIDE | {"krum_score": 5.4}, 0),
        (OUTSIDE | {"krum_score": 5.4, "alignment_score": -0.2}, 1),  # missing alignment adds to the distance
        (OUTSIDE | {"krum_score": 5.4, "alignment_score": -0.2, "opposition": -2.5}, 0),
        (OUTSIDE | {"opposition": -2.5}, 1),
        ({"alignment": 0.0, "resemblance": 0.2}, 1),
        ({"alignment": 0.0, "resemblance": 0.3}, 0),
        ({"alignment": 0.2, "resemblance": 0.2}, 0),
        ({"alignment": 0.0, "resemblance": 0.2, "opposition": -2.5}, 0),
    ],
)
def test_a_reason_holds_only_where_all_its_conditions_do(measures: dict[str, float], count: int) -> None:
    assert len(one(**measures).reasons(0, LIMITS)) == count


def test_thresholds_are_the_callers_to_choose() -> None:
    evidence = one(norm_score=7.0)
    assert evidence.reasons(0, replace(LIMITS, norm=7.5)) == []
    assert evidence.reasons(0, LIMITS) == ["is much longer than the others: 1, 7.0 deviations above usual"]


def test_resemblance_is_the_root_mean_square_of_similarities_over_the_usual_one() -> None:
    similar = cosines(gram_of(vectors(6, 4, 0)))
    aligned = np.array([True, True, True, False, False, False])
    others = [np.delete(similar[row], row) for row in range(6)]
    roots = np.array([np.sqrt((each**2).mean()) for each in others])
    np.testing.assert_allclose(resemblances(similar, aligned), roots / np.median(roots[:3]))
    np.testing.assert_allclose(resemblances(similar, np.zeros(6, bool)), roots / np.median(roots))


def test_where_nothing_resembles_anything_nobody_stands_out() -> None:
    assert resemblances(np.eye(4), np.zeros(4, bool)).tolist() == [1.0] * 4
