"""Shards as Knative services: one each, at most one pod, none while nobody asks."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flstore_core.ids import ShardId
from services.common import tasks
from services.placement.kube.api import Api
from services.placement.kube.errors import ClusterError
from services.placement.kube.events import Recorder, Severity
from services.placement.kube.informer import Informer
from services.placement.kube.owner import Owner
from services.placement.kube.resources import KNATIVE_SERVICES, PODS, SHARD, Json
from services.placement.kube.settings import KubernetesSettings
from services.placement.kube.timing import Time
from services.placement.kube.troubles import Troubles
from services.placement.kube.workers import Workers
from services.placement.runtime.base import Kind, Phase, ShardSpec, ShardState, Watcher
from services.placement.runtime.knative.life import Life
from services.placement.runtime.knative.manifest import Release, address, manifest, selector, service_name, stepped
from services.placement.runtime.knative.state import Sight, see
from services.placement.runtime.knative.upkeep import Upkeep

logger = logging.getLogger(__name__)

ROLLOUT_S = 180.0
"""How long a changed shard may take to come up before the next one is changed."""
LOOK_S = 1.0


class KnativeRuntime:
    """A `Runtime` over the Kubernetes API.

    Shards outlive it: a controller that restarts finds them. It watches while `run` runs, puts right what others
    change, and changes existing shards one after the other, so that an upgrade does not empty all caches at once.
    """

    def __init__(
        self,
        api: Api,
        settings: KubernetesSettings,
        owner: Owner,
        watcher: Watcher,
        time: Time,
        recorder: Recorder,
        troubles: Troubles,
    ) -> None:
        self._api = api
        self._settings = settings
        self._owner = owner
        self._watcher = watcher
        self._time = time
        self._recorder = recorder
        self._troubles = troubles
        self._release = Release(settings)
        self._wanted: dict[ShardId, ShardSpec] = {}
        self._lives: dict[ShardId, Life] = {}
        self._upkeep = Upkeep(time)
        self._rollout = asyncio.Semaphore(1)
        chosen = selector(settings.release)
        self._services = Informer(api, KNATIVE_SERVICES, chosen, time, troubles, self._service_changed)
        self._pods = Informer(api, PODS, chosen, time, troubles, self._pod_changed)
        self._workers = Workers("shard", self._keep, time)

    async def run(self) -> None:
        """Watch services and pods and keep the services as wanted, until cancelled."""
        watches = [tasks.begin(self._services.run(), "services"), tasks.begin(self._pods.run(), "pods")]
        try:
            await asyncio.gather(*watches)
        finally:
            await tasks.end(*watches)
            await self._workers.close()

    async def synced(self) -> None:
        """Return once it is known what there is."""
        await self._services.synced.wait()
        await self._pods.synced.wait()

    def retain(self, seconds: float) -> None:
        """Have last pods stay for about so long after the last request, or for what the settings say if it is more."""
        wanted = stepped(seconds)
        if wanted != self._release.retention_s:
            self._release = replace(self._release, retention_s=wanted)
            for shard in self._wanted:
                self._workers.add(shard)

    async def ensure(self, spec: ShardSpec) -> str:
        existing = self._services.objects.get(self._name(spec.id))
        if existing is None:
            self._wanted[spec.id] = spec
            await self._apply(spec, existing)
        elif self._wanted.get(spec.id) != spec:
            self._wanted[spec.id] = spec
            self._workers.add(spec.id)
        return address(self._settings, spec.id)

    async def remove(self, shard: ShardId) -> None:
        self._wanted.pop(shard, None)
        self._upkeep.forget(shard)
        name = self._name(shard)
        await self._api.delete(KNATIVE_SERVICES, name)
        self._troubles.ended(f"shard {shard}")
        if found := self._services.objects.get(name):
            self._recorder.tell(found, "ShardRemoved", f"{shard} is not needed any more; what it held is in the store")

    async def states(self) -> Sequence[ShardState]:
        for shard in self._known():
            self._look(shard)
        now = self._time.monotonic()
        return [life.state(now) for _, life in sorted(self._lives.items())]

    async def close(self) -> None:
        """Leave the shards as they are."""

    async def _keep(self, name: str) -> bool:
        """Put one service right; existing ones one after the other."""
        shard = ShardId(name)
        spec = self._wanted.get(shard)
        if spec is None:
            return False
        existing = self._services.objects.get(self._name(shard))
        if existing is None:
            await self._apply(spec, None)
        elif self._upkeep.differs(shard, await self._manifest(spec), existing):
            async with self._rollout:
                written = await self._apply(spec, existing)
                if written["metadata"]["generation"] != existing["metadata"]["generation"]:
                    await self._rolled_out(written)
        return True

    async def _apply(self, spec: ShardSpec, existing: Json | None) -> Json:
        what = f"shard {spec.id}"
        try:
            if existing is not None:
                self._upkeep.correct(spec.id)
            body = await self._manifest(spec)
            written = await self._api.apply(KNATIVE_SERVICES, body)
        except ClusterError as error:
            self._troubles.arose(what, error)
            raise
        self._troubles.ended(what)
        self._upkeep.applied(spec.id, body, written)
        if existing is None:
            memory = self._settings.shard_memory if spec.kind is Kind.SHARD else self._settings.predictor_memory
            self._recorder.tell(written, "ShardCreated", f"{spec.id} is there for the jobs, with {memory} of memory")
        return written

    async def _manifest(self, spec: ShardSpec) -> Json:
        return manifest(spec, replace(self._release, owners=tuple(await self._owner.references())))

    async def _rolled_out(self, written: Json) -> None:
        """Wait until Knative is done with a changed service, one way or the other."""
        generation, end = written["metadata"]["generation"], self._time.monotonic() + ROLLOUT_S
        while self._time.monotonic() < end:
            status = self._services.objects.get(written["metadata"]["name"], {}).get("status", {})
            ready = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
            if status.get("observedGeneration", 0) >= generation and ready.get("Ready") in ("True", "False"):
                return
            await self._time.sleep(LOOK_S)

    def _service_changed(self, name: str) -> None:
        shard = _shard(self._services.objects.get(name)) or ShardId(name.removeprefix(f"{self._settings.release}-"))
        if shard in self._wanted:
            self._workers.add(shard)
        self._look(shard)

    def _pod_changed(self, name: str) -> None:
        pod = self._pods.objects.get(name)
        changed = [shard for shard, life in self._lives.items() if life.sight.pod == name]
        for shard in {*changed, *([_shard(pod)] if pod else [])}:
            if shard is not None:
                self._look(shard)

    def _look(self, shard: ShardId) -> None:
        """See what the shard is doing now and tell what is new."""
        service = self._services.objects.get(self._name(shard))
        pods = [pod for pod in self._pods.objects.values() if _shard(pod) == shard]
        life = self._lives.get(shard)
        if life is None:
            if service is None:
                return
            spec = self._wanted.get(shard) or ShardSpec(shard, 0, "", 0.0, _kind(shard))
            life = self._lives[shard] = Life(spec, address(self._settings, shard), self._watcher)
        sight = see(service, pods)
        before = life.saw(sight, self._time.monotonic())
        if service is not None:
            self._tell(shard, service, before, sight)
        if service is None and not pods and shard not in self._wanted:
            del self._lives[shard]

    def _tell(self, shard: ShardId, service: Json, before: Sight, sight: Sight) -> None:
        if sight.failure and sight.failure != before.failure:
            self._recorder.tell(service, sight.failure.reason, sight.failure.message, Severity.WARNING)
        if before.failure and sight.phase is Phase.AWAKE:
            self._recorder.tell(service, "ShardRecovered", f"{shard} serves again")

    def _known(self) -> set[ShardId]:
        named = (_shard(service) for service in self._services.objects.values())
        return {shard for shard in named if shard} | self._lives.keys()

    def _name(self, shard: ShardId) -> str:
        return service_name(self._settings.release, shard)


def _shard(item: Mapping[str, Json] | None) -> ShardId | None:
    name = (item or {}).get("metadata", {}).get("labels", {}).get(SHARD)
    return ShardId(name) if name else None


def _kind(shard: ShardId) -> Kind:
    return Kind.PREDICTOR if shard.startswith(Kind.PREDICTOR.value) else Kind.SHARD
