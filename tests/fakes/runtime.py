"""A runtime without processes: shards have addresses and nothing else."""

from collections.abc import Sequence

from flstore_core.ids import ShardId
from services.placement.runtime import Phase, ShardSpec, ShardState


class FakeRuntime:
    """Gives each shard an address on the host `name`, as a new start of the local runtime gives new ports."""

    def __init__(self, name: str = "host") -> None:
        self._name = name
        self._specs: dict[ShardId, ShardSpec] = {}

    async def ensure(self, spec: ShardSpec) -> str:
        self._specs[spec.id] = spec
        return f"http://{self._name}/{spec.id}"

    async def remove(self, shard: ShardId) -> None:
        self._specs.pop(shard, None)

    async def states(self) -> Sequence[ShardState]:
        return [ShardState(shard, Phase.ZERO, f"http://{self._name}/{shard}") for shard in sorted(self._specs)]

    async def close(self) -> None:
        self._specs.clear()
