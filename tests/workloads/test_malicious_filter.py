"""The filter: each kind of attack with its reason, nobody accused without cause.

What it finds in real federated trainings is in tests/truth.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.records import Round
from flstore_core.workloads import RoundData
from flstore_core.workloads.malicious_filter import MaliciousFilter, MaliciousFilterParams, opposed, summed_gram
from tests.workloads.rounds import Index, ask, make_round

ASKED = MaliciousFilter()


def agreeing(clients: int = 10, seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(500) + rng.standard_normal((clients, 500))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda row: -row, "points the opposite way"),
        (lambda row: 30 * row, "much longer"),
        (lambda row: 20 * np.random.default_rng(9).standard_normal(len(row)), "farther out"),
        (lambda row: 1e-5 * row, "next to nothing"),
        (lambda row: 0 * row, "next to nothing"),
    ],
    ids=["sign flip", "scaled", "noise", "tiny", "zero"],
)
@pytest.mark.parametrize("attackers", [1, 3])
def test_each_kind_of_attack_is_accused_with_its_reason(change: Any, reason: str, attackers: int) -> None:
    rows = agreeing()
    for row in range(attackers):
        rows[row] = change(rows[row])
    answer = ask(ASKED, make_round(rows))
    assert answer.malicious == [f"c{row}" for row in range(attackers)]
    assert all(reason in " ".join(verdict.reasons) for verdict in answer.verdicts[:attackers])


def test_nobody_is_accused_when_nobody_stands_out() -> None:
    for rows in (agreeing(), np.ones((6, 9)), np.zeros((6, 9)), agreeing(4)):
        assert ask(ASKED, make_round(rows)).malicious == []


def test_multi_krum_keeps_its_share_and_drops_the_farthest() -> None:
    rows = agreeing()
    rows[[2, 7]] *= -1
    kept = ask(ASKED, make_round(rows), byzantine=0.2).multi_krum
    assert kept == [f"c{row}" for row in range(10) if row not in (2, 7)]


def test_thresholds_are_the_callers_to_choose() -> None:
    rows = agreeing()
    rows[4] *= -1
    loose = {"opposition_threshold": 1e6, "alignment_threshold": 1e6, "krum_threshold": 1e6}
    assert ask(ASKED, make_round(rows)).malicious == ["c4"]
    assert ask(ASKED, make_round(rows), **loose).malicious == []


def test_fewer_than_four_updates_judge_nobody() -> None:
    with pytest.raises(NotEnoughData, match=r"has 3 update\(s\); at least 4"):
        ask(ASKED, make_round(agreeing(3)))


@given(st.integers(4, 9), st.integers(2, 6), st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_slices_do_not_change_the_evidence(clients: int, slices: int, seed: int) -> None:
    rows = agreeing(clients, seed)
    one, many = ask(ASKED, make_round(rows)), ask(ASKED, make_round(rows, slices=slices))
    assert one.malicious == many.malicious
    for before, after in zip(one.verdicts, many.verdicts, strict=True):
        assert after.alignment == pytest.approx(before.alignment, abs=1e-6)
        assert after.krum == pytest.approx(before.krum, rel=1e-5)


def test_one_round_shows_and_all_rounds_prove_who_sends_the_opposite() -> None:
    """Four of twelve directions are shared by two clients each; c0 sends the opposite of what c1 does in every round,
    which after one round might be the fault of either.
    """
    rng = np.random.default_rng(3)
    directions = rng.standard_normal((6, 400))
    rounds = []
    for number, there in enumerate([(0, 1, 4, 5, 6, 7), (0, 2, 4, 5, 6, 7), (0, 3, 1, 2, 6, 7)]):
        rows = np.array([directions[client // 4] + 0.5 * rng.standard_normal(400) for client in there])
        rows[0] *= -1
        rounds.append(make_round(rows, [f"c{client}" for client in there], number=number))
    at_the_time = [ask(ASKED, rounds[: number + 1], round=number).verdicts[0].opposition for number in range(3)]
    assert at_the_time == sorted(at_the_time)
    looking_back = ask(ASKED, rounds, round=0)
    assert looking_back.malicious == ["c0"]
    assert looking_back.looked_at == [0, 1, 2]
    assert ask(ASKED, rounds, round=2).malicious == ["c0"]


def test_rounds_without_clients_say_nothing() -> None:
    rows = agreeing()
    rows[4] *= -1
    empty = RoundData(Round(0, None, (), None, committed_at=1.0))
    assert ask(ASKED, [empty, make_round(rows, number=1)], round=1).malicious == ["c4"]


METHODS: list[dict[str, Any]] = [
    {"method": "robust"}, {"method": "foolsgold"}, {"method": "flame"}, {"method": "fltrust", "root": "c1"}
]  # fmt: skip


@pytest.mark.parametrize("params", METHODS, ids=str)
def test_every_method_gives_each_client_one_verdict_and_accuses_only_with_a_reason(params: dict[str, Any]) -> None:
    rows = agreeing()
    rows[0] *= -1
    rows[5] = 20 * np.random.default_rng(9).standard_normal(500)
    answer = ask(ASKED, make_round(rows, number=3), **params)
    assert [verdict.client for verdict in answer.verdicts] == [f"c{row}" for row in range(10)]
    assert answer.malicious == [verdict.client for verdict in answer.verdicts if verdict.malicious]
    assert all(bool(verdict.reasons) == verdict.malicious for verdict in answer.verdicts)
    assert all((verdict.trust is None) == (params["method"] == "robust") for verdict in answer.verdicts)
    assert (answer.round, answer.looked_at) == (3, [3])


@pytest.mark.parametrize("params", METHODS, ids=str)
def test_the_evidence_is_the_same_whichever_method_accuses(params: dict[str, Any]) -> None:
    rows = agreeing(8, 3)
    rows[2] *= 7
    plain, other = ask(ASKED, make_round(rows)), ask(ASKED, make_round(rows), **params)
    for name in (
        "norm",
        "norm_score",
        "alignment",
        "alignment_score",
        "krum",
        "krum_score",
        "opposition",
        "resemblance",
    ):
        assert [getattr(v, name) for v in plain.verdicts] == [getattr(v, name) for v in other.verdicts]
    assert plain.multi_krum == other.multi_krum


def test_lengths_and_krum_scores_are_those_of_the_definitions() -> None:
    """Blanchard et al. 2017: the sum over the n - f - 2 closest others; of 7 clients, f is 1 at a share of 0.2."""
    rows = agreeing(7, 2)
    answer = ask(ASKED, make_round(rows), byzantine=0.2)
    lengths = np.linalg.norm(rows, axis=1).tolist()
    assert [verdict.norm for verdict in answer.verdicts] == pytest.approx(lengths, rel=1e-5)
    distances = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    scores = np.sort(distances, axis=1)[:, 1 : 1 + 7 - 1 - 2].sum(axis=1)
    assert [verdict.krum for verdict in answer.verdicts] == pytest.approx(scores.tolist(), rel=1e-4)
    assert answer.multi_krum == [f"c{row}" for row in sorted(np.argsort(scores)[:6].tolist())]


def test_products_are_summed_over_the_rounds_that_both_of_a_pair_took_part_in() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((3, 9)), rng.standard_normal((2, 9))
    rounds = [make_round(first, ["a", "b", "c"]).deltas(), make_round(second, ["b", "d"]).deltas()]
    gram = summed_gram(rounds, rounds[0].members)
    expected = first @ first.T
    expected[1, 1] += second[0] @ second[0]
    np.testing.assert_allclose(gram, expected, atol=1e-5)


def test_opposition_is_told_of_the_rounds_own_clients() -> None:
    rows = agreeing(5)
    rows[0] *= -1
    rounds = [make_round(rows, list("abcde")).deltas(), make_round(rows[1:], list("bcde")).deltas()]
    told = opposed(rounds[0], rounds[1:])
    assert told.shape == (5,)
    assert told[0] > 0 > told[1:].max()


def test_rounds_around_the_one_judged_are_read_by_the_methods_that_use_them() -> None:
    index = Index(committed=range(10))
    assert ASKED.select(MaliciousFilterParams(round=5, history=3, hindsight=2), index) == [3, 4, 5, 6, 7]
    assert ASKED.select(MaliciousFilterParams(round=5, history=1, hindsight=0), index) == [5]
    assert ASKED.select(MaliciousFilterParams(round=5, method="flame"), index) == (5,)
    assert ASKED.select(MaliciousFilterParams(), index) == list(range(10))


def test_what_cannot_be_judged_is_refused() -> None:
    data = make_round(agreeing(6))
    with pytest.raises(InvalidParameters, match="needs root: name the client"):
        MaliciousFilterParams(method="fltrust")
    with pytest.raises(NotFound, match="among the judged clients, root 'c7' does not exist"):
        ask(ASKED, data, method="fltrust", root="c7")
    with pytest.raises(NotFound, match="client in round 0 'c9'"):
        ask(ASKED, data, clients=["c0", "c1", "c2", "c9"])
    with pytest.raises(NotEnoughData, match="statistics 'exact'"):
        ask(ASKED, RoundData(data.record))
