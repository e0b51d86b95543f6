"""A runtime without processes: backends have addresses and nothing else."""

from collections.abc import Sequence

from flstore_core.ids import ShardId
from services.placement.runtime import BackendSpec, BackendState, Phase


class FakeRuntime:
    """Gives each backend an address on the host `name`, as a new start of the local runtime gives new ports."""

    def __init__(self, name: str = "host") -> None:
        self._name = name
        self._specs: dict[ShardId, BackendSpec] = {}

    async def ensure(self, spec: BackendSpec) -> str:
        self._specs[spec.id] = spec
        return f"http://{self._name}/{spec.id}"

    async def remove(self, backend: ShardId) -> None:
        self._specs.pop(backend, None)

    async def observe(self) -> Sequence[BackendState]:
        return [BackendState(each, Phase.ZERO, f"http://{self._name}/{each}") for each in sorted(self._specs)]

    async def close(self) -> None:
        self._specs.clear()
