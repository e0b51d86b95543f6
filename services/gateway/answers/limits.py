"""Limits one question's memory and time. Both are estimated before it runs; a refusal names the numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flstore_core.errors import TooExpensive
from flstore_core.units import format_size
from flstore_core.workloads import Cost, RoundData
from flstore_core.workloads.registry import AnyWorkload
from services.gateway.rounds.index import JobIndex

ITEM = 8
"""Bytes of a float64."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one question may take."""

    nbytes: int = 512 * 2**20
    """Bytes of memory in the gateway."""
    operations: int = 2 * 10**11
    """Floating-point operations."""

    def check_statistics(self, index: JobIndex, numbers: Sequence[int]) -> None:
        """Raise `TooExpensive` if the Gram matrices of these rounds are too large to be held together.

        Example: 1,000 rounds of 300 clients are 1,000 × 300² × 8 = 720,000,000 bytes.
        """
        # No round has more clients than the job has. Where even that many would fit, nothing has to be counted.
        clients = len(index.participations)
        if len(numbers) * clients**2 * ITEM <= self.nbytes:
            return
        by_round = index.clients_by_round()
        matrices = sum(by_round[number] ** 2 for number in numbers)
        self._check(Cost(matrices * ITEM), f"the statistics of {len(numbers)} rounds")

    def check(self, workload: AnyWorkload, params: Any, rounds: Sequence[RoundData], parameters: int) -> None:
        """Raise `TooExpensive` if a workload estimates that it takes too much; not every workload has an estimate.

        Args:
            parameters: number of parameters of the job's model.
        """
        if cost := getattr(workload, "cost", None):
            self._check(cost(params, rounds, parameters), f"{workload.name!r} with these parameters over these rounds")

    def _check(self, cost: Cost, what: str) -> None:
        if cost.nbytes > self.nbytes:
            raise TooExpensive(
                f"{what} would hold about {format_size(int(cost.nbytes))}; at most {format_size(self.nbytes)} are "
                "allowed here (FLSTORE_QUESTION_BYTES)",
                nbytes=int(cost.nbytes),
                limit=self.nbytes,
            )
        if cost.operations > self.operations:
            raise TooExpensive(
                f"{what} would take about {cost.operations:.1e} operations; at most {self.operations:.1e} are allowed "
                "here (FLSTORE_QUESTION_OPERATIONS)",
                operations=int(cost.operations),
                limit=self.operations,
            )
