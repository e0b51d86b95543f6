"""Small makings of the tailored policy's parts, for tests of single parts."""

from flstore_core.ids import AGGREGATE
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key
from flstore_core.policies.tailored.candidates import Candidate
from flstore_core.policies.tailored.hazard import Hazard
from flstore_core.policies.tailored.known_rounds import Group

JOB = "job"


class Steady(Hazard):
    """A hazard with the same rate at every age; it notes what it is taught."""

    def __init__(self, requests_per_s: float = 0.3) -> None:
        super().__init__(0.0)
        self.requests_per_s = requests_per_s
        self.requests: list[float] = []
        self.lives: list[tuple[float, float]] = []
        self.horizons: list[float] = []
        """What it was asked the rate for."""

    def rate(self, age: float, horizon: float) -> float:
        self.horizons.append(horizon)
        return self.requests_per_s

    def observe_request(self, age: float) -> None:
        self.requests.append(age)

    def observe_life(self, end: float, begin: float = 0.0) -> None:
        self.lives.append((begin, end))


class Named:
    """Stands in for `Hazards`: one steady hazard for each kind and variant, by which tests find it."""

    def __init__(self, requests_per_s: float = 0.3) -> None:
        self.made: dict[tuple[str, str], Steady] = {}
        self._requests_per_s = requests_per_s

    def get(self, kind: str, variant: str = "") -> Steady:
        return self.made.setdefault((kind, variant), Steady(self._requests_per_s))

    def name(self, candidate: Candidate) -> tuple[str, str]:
        """Return the kind and variant of a candidate's hazard."""
        return next(name for name, hazard in self.made.items() if hazard is candidate.hazard)


def update(number: int, client: str = "a") -> Key:
    return Key(JOB, number, client)


def model(number: int) -> Key:
    return Key(JOB, number, AGGREGATE)


def updates(number: int, clients: str = "ab", size: int = 10) -> Group:
    """Return the updates of a round, one for each letter of `clients`."""
    return Group({update(number, client): size for client in clients})


def candidate(group: Group, requests_per_s: float = 0.3, since: float = 0.0) -> Candidate:
    return Candidate("newest round", Pattern.P2, Steady(requests_per_s), since, group)
