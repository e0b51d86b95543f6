"""Which attackers the malicious filter finds, over all rounds of the training."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flstore_core.client import FLStore
from loadgen.demo.training import Training

FILTER = "malicious-filter"
GUILTY = 0.5
"""A client counts as accused if the filter named it in more than this share of its rounds."""


@dataclass(frozen=True)
class Detection:
    """How often each client took part and was accused, and which clients were attackers."""

    attackers: Mapping[str, str]
    """The attack of each attacker."""
    rounds: Mapping[str, int]
    accusations: Mapping[str, int]

    @property
    def found(self) -> list[str]:
        return [client for client in self.attackers if client in self._accused]

    @property
    def missed(self) -> list[str]:
        return [client for client in self.attackers if client not in self._accused]

    @property
    def honest_accused(self) -> list[str]:
        return sorted(self._accused - self.attackers.keys())

    @property
    def _accused(self) -> set[str]:
        return {client for client, times in self.accusations.items() if times > GUILTY * self.rounds[client]}

    def to_json(self) -> dict[str, Any]:
        listed = {
            client: {"attack": attack, "rounds": self.rounds.get(client, 0), "accused": self.accusations.get(client, 0)}
            for client, attack in self.attackers.items()
        }
        return {
            "attackers": listed,
            "found": self.found,
            "missed": self.missed,
            "honest_accused": self.honest_accused,
            "honest_accusations": sum(n for client, n in self.accusations.items() if client not in self.attackers),
        }


def detect_attackers(client: FLStore, job: str, training: Training) -> Detection:
    """Run the malicious filter on every round of the training."""
    rounds: Counter[str] = Counter()
    accusations: Counter[str] = Counter()
    for number in range(1, training.setup.rounds + 1):
        result = client.run(job, FILTER, round=number).result.raw
        rounds.update(verdict["client"] for verdict in result["verdicts"])
        accusations.update(result["malicious"])
    attackers = {str(name): attack.value for name, attack in training.attackers.items()}
    return Detection(attackers, rounds, accusations)
