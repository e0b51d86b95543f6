"""The filter by FoolsGold, FLTrust and FLAME on planted attackers, and the rounds that it reads."""

from typing import Any

import numpy as np
import pytest

from flstore_core.errors import InvalidParameters, NotFound
from flstore_core.workloads.malicious_filter import MaliciousFilter, MaliciousFilterParams
from flstore_core.workloads.methods.flame import majority
from tests.workloads.rounds import Index, ask, make_round
from tests.workloads.test_malicious_filter import agreeing

ASKED = MaliciousFilter()
Rows = np.ndarray[Any, Any]


def diverse() -> Rows:
    return np.random.default_rng(0).standard_normal((8, 400))


def test_foolsgold_accuses_sybils_and_nobody_else() -> None:
    rows = diverse()
    rows[5] = rows[6] = rows[7]
    assert ask(ASKED, make_round(rows), method="foolsgold").malicious == ["c5", "c6", "c7"]
    assert ask(ASKED, make_round(diverse()), method="foolsgold").malicious == []


def test_foolsgold_adds_up_what_clients_did_together_over_rounds() -> None:
    rng = np.random.default_rng(1)
    shared = rng.standard_normal(400)
    rounds = []
    for number in range(3):
        rows = rng.standard_normal((6, 400))
        rows[:2] = shared + (0.1 if number < 2 else 30.0) * rng.standard_normal((2, 400))
        rounds.append(make_round(rows * (1.0 if number < 2 else 0.02), number=number))
    assert ask(ASKED, rounds[2], method="foolsgold").malicious == []
    assert ask(ASKED, rounds, method="foolsgold", round=2).malicious == ["c0", "c1"]


def test_history_and_hindsight_read_the_committed_rounds_around_the_one_asked_about() -> None:
    index = Index(committed=[1, 2, 5, 6], open=[9])
    assert ASKED.select(MaliciousFilterParams(round=2, history=1, hindsight=2), index) == [2, 5, 6]
    assert ASKED.select(MaliciousFilterParams(round=5), index) == [1, 2, 5, 6]
    assert ASKED.select(MaliciousFilterParams(round=6, history=3), index) == [2, 5, 6]
    assert ASKED.select(MaliciousFilterParams(round=9, history=2), index) == [6, 9]
    assert ASKED.select(MaliciousFilterParams(round=2, history=9, hindsight=0), index) == [1, 2]
    assert ASKED.select(MaliciousFilterParams(round=6, history=5), index) == [1, 2, 5, 6]
    assert ASKED.select(MaliciousFilterParams(round=5, method="flame"), index) == (5,)


def test_fltrust_accuses_who_points_away_from_the_root() -> None:
    rows = diverse() + 1.0
    rows[[2, 4]] *= -1
    answer = ask(ASKED, make_round(rows), method="fltrust", root="c0")
    assert answer.malicious == ["c2", "c4"]
    assert answer.verdicts[0].trust == pytest.approx(1.0)
    assert "points away from the update of the root" in answer.verdicts[2].reasons[0]


def test_the_root_must_be_named_for_fltrust_alone_and_be_there() -> None:
    with pytest.raises(InvalidParameters, match="'fltrust' needs root: name the client"):
        MaliciousFilterParams(method="fltrust")
    with pytest.raises(InvalidParameters, match="root is for method 'fltrust' alone; leave it out with 'robust'"):
        MaliciousFilterParams(root="c0")
    with pytest.raises(NotFound, match="nearest: c0"):
        ask(ASKED, make_round(diverse()), method="fltrust", root="c00")


@pytest.mark.parametrize("attackers", [1, 3])
def test_flame_accuses_who_is_far_from_the_majority(attackers: int) -> None:
    rows = agreeing()
    rows[:attackers] *= -1
    answer = ask(ASKED, make_round(rows), method="flame")
    assert answer.malicious == [f"c{row}" for row in range(attackers)]
    assert answer.verdicts[0].trust == 0
    assert "from the majority" in answer.verdicts[0].reasons[0]


def test_flame_clips_to_the_median_length() -> None:
    rows = agreeing()
    rows[3] *= 10
    verdicts = ask(ASKED, make_round(rows), method="flame").verdicts
    assert [verdict.client for verdict in verdicts if verdict.malicious] == []
    assert verdicts[3].trust == pytest.approx(0.1, rel=0.1)


def test_flame_accuses_nobody_where_all_are_alike_or_zero() -> None:
    for rows in (np.ones((6, 9)), np.zeros((6, 9)), agreeing(4), agreeing(9)):
        assert ask(ASKED, make_round(rows), method="flame").malicious == []


def test_the_papers_own_rule_leaves_out_all_but_the_majority() -> None:
    rows = np.random.default_rng(1).standard_normal((9, 40)) + 0.5
    accused = ask(ASKED, make_round(rows), method="flame", flame_margin=1.0).malicious
    assert accused == [f"c{row}" for row, kept in enumerate(majority(rows @ rows.T).admitted) if not kept]
    assert accused
