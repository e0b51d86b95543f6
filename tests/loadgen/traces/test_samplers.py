"""Samplers of clients, held against the laws that define them."""

import math
import random
from collections import Counter
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.traces.samplers import OORT_EXPLORATION, SAMPLERS, UTILITY_DECAY, ZIPF_EXPONENT, Oort, Uniform, Zipf


@given(st.sampled_from(sorted(SAMPLERS)), st.integers(1, 20), st.data(), st.integers(0, 99))
def test_every_round_has_distinct_clients_of_the_job(name: str, per_round: int, data: st.DataObject, seed: int) -> None:
    clients = data.draw(st.integers(per_round, 30))
    sampler = SAMPLERS[name](clients, per_round, random.Random(seed))
    for number in range(5):
        chosen = sampler.pick(number)
        assert len(chosen) == len(set(chosen)) == per_round
        assert set(chosen) <= set(range(clients))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_round_of_all_clients_has_all_of_them(name: str) -> None:
    sampler = SAMPLERS[name](7, 7, random.Random(1))
    assert [sorted(sampler.pick(number)) for number in range(3)] == [list(range(7))] * 3


def test_uniform_picks_every_client_as_often() -> None:
    sampler = Uniform(20, 5, random.Random(1))
    counts = Counter(client for number in range(4000) for client in sampler.pick(number))
    # A client is in a round with probability 1/4; its count is binomial with standard deviation 27.
    assert all(count == pytest.approx(1000, abs=4 * math.sqrt(4000 * 0.25 * 0.75)) for count in counts.values())


def test_zipf_with_one_client_a_round_follows_the_power_law() -> None:
    """Sampling one without replacement picks client r with probability w(r) / sum(w), w(r) = 1 / (r + 1)^1.1."""
    sampler = Zipf(30, 1, random.Random(2))
    rounds = 20_000
    counts = Counter(sampler.pick(number)[0] for number in range(rounds))
    weights = [1 / (client + 1) ** ZIPF_EXPONENT for client in range(30)]
    for client in (0, 1, 2, 10):
        expected = weights[client] / sum(weights)
        sigma = math.sqrt(expected * (1 - expected) / rounds)
        assert counts[client] / rounds == pytest.approx(expected, abs=4 * sigma)


def test_zipf_with_two_clients_a_round_draws_without_replacement() -> None:
    """Efraimidis and Spirakis 2006: the second client is drawn by the weights of those that are left."""
    sampler = Zipf(3, 2, random.Random(3))
    rounds = 20_000
    counts = Counter(tuple(sorted(sampler.pick(number))) for number in range(rounds))
    w = [1 / (client + 1) ** ZIPF_EXPONENT for client in range(3)]
    total = sum(w)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        expected = w[a] / total * w[b] / (total - w[a]) + w[b] / total * w[a] / (total - w[b])
        assert counts[a, b] / rounds == pytest.approx(expected, abs=0.015)


def test_oort_first_explores_all_clients_then_only_its_share() -> None:
    sampler = Oort(50, 10, random.Random(4))
    chosen = [sampler.pick(number) for number in range(60)]
    seen: set[int] = set()
    for number, clients in enumerate(chosen):
        fresh = len(set(clients) - seen)
        left = 50 - len(seen)
        wanted = 10 if number == 0 else int(10 * OORT_EXPLORATION)
        assert fresh == min(wanted, left), f"round {number}"
        seen |= set(clients)
    assert seen == set(range(50))


def test_oort_prefers_clients_of_high_utility() -> None:
    sampler = Oort(40, 10, random.Random(5))
    utility = list(sampler._utility)
    counts = Counter(client for number in range(60) for client in sampler.pick(number))
    ranked = sorted(range(40), key=lambda client: utility[client])
    assert mean(counts[client] for client in ranked[-10:]) > mean(counts[client] for client in ranked[:10])


def test_oort_comes_back_to_a_client_that_was_long_unseen() -> None:
    """The bonus sqrt(0.1 ln(r) age) grows without bound, so that no client stays away for good."""
    sampler = Oort(30, 10, random.Random(6))
    last = {client: number for number in range(300) for client in sampler.pick(number)}
    assert min(last.values()) > 200


def test_training_lowers_a_clients_utility_by_a_twentieth() -> None:
    sampler = Oort(10, 10, random.Random(7))
    before = list(sampler._utility)
    for number in range(3):
        sampler.pick(number)
    assert sampler._utility == pytest.approx([utility * UTILITY_DECAY**3 for utility in before])
