"""FoolsGold and FLTrust, by the papers' algorithms in plain loops and on planted attackers."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters, NotFound
from flstore_core.workloads.malicious_filter import MaliciousFilter, MaliciousFilterParams
from flstore_core.workloads.methods.fltrust import fltrust
from flstore_core.workloads.methods.foolsgold import foolsgold
from tests.workloads.rounds import Index, ask, make_round

ASKED = MaliciousFilter()
Rows = np.ndarray[Any, Any]


def foolsgold_by_the_paper(rows: Rows) -> list[float]:
    """Algorithm 1, line by line."""
    n = len(rows)
    similar = [
        [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) if i != j else -math.inf for j, b in enumerate(rows)]
        for i, a in enumerate(rows)
    ]
    most = [max(line) for line in similar]
    for i in range(n):
        for j in range(n):
            if most[j] > most[i] > 0:
                similar[i][j] *= most[i] / most[j]
    rates = [min(max(1 - max(line), 0.0), 1.0) for line in similar]
    scaled = [min(rate / max(rates), 1 - 1e-12) for rate in rates]
    return [min(max(math.log(max(s, 1e-12) / (1 - s)) + 0.5, 0.0), 1.0) for s in scaled]


@given(st.integers(2, 8), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_foolsgold_is_the_papers_algorithm(clients: int, seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((clients, 12)) + 1.0
    np.testing.assert_allclose(foolsgold(rows @ rows.T), foolsgold_by_the_paper(rows), atol=1e-9)


def test_fltrust_is_the_positive_part_of_the_similarity_with_the_root() -> None:
    rows = np.array([[2.0, 0], [3, 3], [0, 5], [-1, 1], [0, 0]])
    np.testing.assert_allclose(fltrust(rows @ rows.T, 0), [1, math.sqrt(0.5), 0, 0, 0])


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
