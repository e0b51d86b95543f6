"""Samplers: which `per_round` of `clients` clients train in a round."""

import math
import random
from collections.abc import Callable
from typing import Protocol

ZIPF_EXPONENT = 1.1
OORT_EXPLORATION = 0.1
"""Share of a round reserved for clients that have not trained yet."""
OORT_STALENESS = 0.1
"""Weight of the bonus for clients that have not trained for long."""

UTILITY_DECAY = 0.95
"""Factor on a client's utility each time it trains."""


class Sampler(Protocol):
    """Picks the clients of each round, called in the order of the rounds."""

    def pick(self, round: int) -> list[int]:  # noqa: A002
        """Return the clients of `round`, without repetition."""


class Uniform:
    """Every client is equally likely, as in FedAvg (McMahan et al., AISTATS 2017)."""

    def __init__(self, clients: int, per_round: int, rng: random.Random) -> None:
        self._clients, self._per_round, self._rng = clients, per_round, rng

    def pick(self, round: int) -> list[int]:  # noqa: A002
        return self._rng.sample(range(self._clients), self._per_round)


class Zipf:
    """Power-law availability: client number r is picked with weight 1 / (r + 1)^1.1, so a few train nearly always."""

    def __init__(self, clients: int, per_round: int, rng: random.Random) -> None:
        self._per_round, self._rng = per_round, rng
        self._weights = [1 / rank**ZIPF_EXPONENT for rank in range(1, clients + 1)]

    def pick(self, round: int) -> list[int]:  # noqa: A002
        # Weighted sampling without replacement: Efraimidis and Spirakis, 2006.
        keys = [self._rng.random() ** (1 / weight) for weight in self._weights]
        return sorted(range(len(keys)), key=keys.__getitem__, reverse=True)[: self._per_round]


class Oort:
    """Guided selection after Oort (Lai et al., OSDI 2021): clients of high utility, some new, some long unseen."""

    def __init__(self, clients: int, per_round: int, rng: random.Random) -> None:
        self._per_round, self._rng = per_round, rng
        self._utility = [rng.lognormvariate(0, 0.5) for _ in range(clients)]
        self._last: dict[int, int] = {}

    def pick(self, round: int) -> list[int]:  # noqa: A002
        fresh = [client for client in range(len(self._utility)) if client not in self._last]
        seen = sorted(self._last, key=lambda client: self._score(client, round), reverse=True)
        explore = max(self._per_round - len(seen), int(self._per_round * OORT_EXPLORATION))
        chosen = self._rng.sample(fresh, min(explore, len(fresh)))
        chosen += seen[: self._per_round - len(chosen)]
        self._train(chosen, round)
        return chosen

    def _score(self, client: int, round: int) -> float:  # noqa: A002
        stale = math.sqrt(OORT_STALENESS * math.log(round + 1) * (round - self._last[client]))
        return self._utility[client] * self._rng.uniform(0.8, 1.2) + stale

    def _train(self, chosen: list[int], round: int) -> None:  # noqa: A002
        for client in chosen:
            self._last[client] = round
            # A client's loss, and with it its utility, falls as the model learns its data.
            self._utility[client] *= UTILITY_DECAY


SAMPLERS: dict[str, Callable[[int, int, random.Random], Sampler]] = {"uniform": Uniform, "oort": Oort, "zipf": Zipf}
