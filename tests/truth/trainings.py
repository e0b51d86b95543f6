"""The trainings: how clients learn, who attacks, and with which seeds, none of which any threshold was chosen on."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tests.workloads.federated import Setting

LEARNING: Mapping[str, Mapping[str, Any]] = {
    "Adam, 5 epochs": {},
    "SGD, momentum 0.9, 5 epochs": {"solver": "sgd", "momentum": 0.9, "epochs": 5, "batch": 16, "rate": 0.01},
    "SGD, 1 epoch": {"solver": "sgd", "momentum": 0.0, "epochs": 1, "batch": 32, "rate": 0.1},
}
"""How clients train between rounds; batches of 16, but of 32 in the last."""
ATTACKS = ("sign-flip", "scaled-noise", "free-rider", "label-flip")
SHARES = (0.1, 0.2, 0.3)
SEEDS: Sequence[int] = (102, 103)
ROOT_EXAMPLES = 100


@dataclass(frozen=True)
class Case:
    """One training with attackers, or a clean one."""

    learning: str
    attack: str
    """Empty for a clean one."""
    share: float
    seed: int
    rounds: int = 20

    @property
    def setting(self) -> Setting:
        attackers = range(round(self.share * Setting.clients)) if self.attack else ()
        return Setting(
            attackers=dict.fromkeys(attackers, self.attack),
            rounds=self.rounds,
            seed=self.seed,
            root_examples=ROOT_EXAMPLES,
            **self.changes,
        )

    @property
    def changes(self) -> dict[str, Any]:
        return dict(LEARNING[self.learning])


def cases() -> Iterator[Case]:
    """Yield all trainings that the filter is tried on."""
    for learning in LEARNING:
        for seed in SEEDS:
            yield Case(learning, "", 0.0, seed)
            yield from (Case(learning, attack, share, seed) for attack in ATTACKS for share in SHARES)


def quiet() -> None:
    """Keep a worker to one core, and silent about trainings that are meant to be short."""
    threadpool_limits(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
