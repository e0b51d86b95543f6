"""The backends of a release: decides how many the jobs need, and has the runtime create and remove them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from flstore_core.ids import ShardId
from flstore_core.placement import Shard, shards_needed
from flstore_core.records import Job
from services.placement.runtime import BackendSpec, Kind, Runtime


@dataclass(frozen=True)
class Fleet:
    """The backends that there may be, and where they run."""

    runtime: Runtime
    specs: Sequence[BackendSpec]
    """Every backend that there may be, at least one shard among them."""
    elastic: bool = False
    """Whether only as many backends exist as the jobs need, because a Knative service costs something even at zero."""

    def choose(self, jobs: Collection[Job], runs_models: bool) -> tuple[BackendSpec, ...]:
        """Return the backends that `jobs` need. `runs_models` says whether any of the jobs has a program to run."""
        if not self.elastic:
            return tuple(self.specs)
        shards = [spec for spec in self.specs if spec.kind is Kind.SHARD]
        predictors = [spec for spec in self.specs if spec.kind is Kind.PREDICTOR]
        count = shards_needed(jobs, shards[0].cache_bytes, len(shards))
        return (*shards[:count], *(predictors if runs_models else ()))

    @property
    def needs_to_know_programs(self) -> bool:
        """Whether `choose` looks at `runs_models` at all."""
        return self.elastic and any(spec.kind is Kind.PREDICTOR for spec in self.specs)

    async def ensure(self, specs: Sequence[BackendSpec]) -> tuple[tuple[Shard, ...], Mapping[ShardId, str]]:
        """Make the backends exist; return the shards, and the URL of each predictor."""
        urls = {spec: await self.runtime.ensure(spec) for spec in specs}
        shards = tuple(Shard(spec.id, spec.cache_bytes, url) for spec, url in urls.items() if spec.kind is Kind.SHARD)
        return shards, {spec.id: url for spec, url in urls.items() if spec.kind is Kind.PREDICTOR}

    async def retire_others(self, specs: Sequence[BackendSpec]) -> None:
        """Remove every backend that is not in `specs`; call it once the table no longer names them."""
        kept = {spec.id for spec in specs}
        for state in await self.runtime.observe():
            if state.id not in kept:
                await self.runtime.remove(state.id)
