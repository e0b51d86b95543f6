"""The filter by FoolsGold and FLTrust on planted attackers, and the rounds that it reads."""

from typing import Any

import numpy as np
import pytest

from flstore_core.errors import InvalidParameters, NotFound
from flstore_core.workloads.malicious_filter import MaliciousFilter, MaliciousFilterParams
from tests.workloads.rounds import Index, ask, make_round

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
