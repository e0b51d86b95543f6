"""Backends as Knative services: created, watched, repaired, rolled out one after the other, and removed."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flstore_core.ids import ShardId
from services.common import tasks
from services.placement.kube.cluster import Cluster
from services.placement.kube.errors import ClusterError
from services.placement.kube.events import Severity
from services.placement.kube.informer import Informer
from services.placement.kube.resources import KNATIVE_SERVICES, PODS, SHARD, Json
from services.placement.kube.workers import Workers
from services.placement.runtime.base import BackendSpec, BackendState, Cause, Kind, Phase, Start, Watcher
from services.placement.runtime.knative.drift import DriftDetector
from services.placement.runtime.knative.life import RUNNING, Life
from services.placement.runtime.knative.manifest import (
    Release,
    backend_selector,
    make_service,
    retention_of,
    round_up_retention,
    service_name,
    service_url,
)
from services.placement.runtime.knative.observation import Observation, observe

ROLLOUT_S = 180.0
"""Longest wait, in seconds, for a changed backend to become ready before the next one is changed."""
LOOK_S = 1.0
"""Seconds between two looks at a rollout."""


class KnativeRuntime:
    """A `Runtime` over the Kubernetes API.

    Backends outlive it, and a controller that restarts finds them again. While `run` runs, it follows services and
    pods, and repairs what others change. It changes existing services one after the other, so that an upgrade never
    empties all caches at once.

    Each change of a service's template starts a pod of a new revision and ends the one before, cache and all. That is
    too high a price for a new retention, which jobs ask for when they come and go. So an awake backend keeps the
    retention that it has, and takes the new one once it is at zero, where nothing is lost. Example: a job with rounds
    8 minutes apart comes while shard 0 is awake. Shard 0 sleeps once more after its old retention, takes the new one,
    and from its next start on stays awake between rounds.
    """

    def __init__(self, cluster: Cluster, watcher: Watcher) -> None:
        self._cluster = cluster
        self._watcher = watcher
        self._release = Release(cluster.settings)
        self._knows_retention = False
        """Whether the jobs have said what they ask for since this controller began."""
        self._specs: dict[ShardId, BackendSpec] = {}
        self._lives: dict[ShardId, Life] = {}
        self._drift = DriftDetector(cluster.time)
        self._rollout = asyncio.Semaphore(1)
        selector = backend_selector(cluster.settings.release)
        self._services = Informer(cluster, KNATIVE_SERVICES, selector, self._service_changed)
        self._pods = Informer(cluster, PODS, selector, self._pod_changed)
        self._workers = Workers("backend", self._keep, cluster.time)

    async def run(self) -> None:
        """Watch services and pods, and keep the services as specified, until cancelled."""
        watches = [tasks.begin(self._services.run(), "services"), tasks.begin(self._pods.run(), "pods")]
        try:
            await asyncio.gather(*watches)
        finally:
            await tasks.end(*watches)
            await self._workers.close()

    async def wait_until_synced(self) -> None:
        """Return once services and pods have been listed."""
        await self._services.synced.wait()
        await self._pods.synced.wait()

    def set_retention(self, seconds: float) -> None:
        """Have idle pods stay for at least `seconds` after the last request, or for longer if the settings say so.

        Backends that are awake do so once they have been at zero.
        """
        retention_s = round_up_retention(seconds)
        if retention_s != self._release.retention_s or not self._knows_retention:
            self._release, self._knows_retention = replace(self._release, retention_s=retention_s), True
            for backend in self._specs:
                self._workers.add(backend)

    async def ensure(self, spec: BackendSpec) -> str:
        existing = self._services.objects.get(self._name(spec.id))
        if existing is None:
            self._specs[spec.id] = spec
            await self._apply(spec, existing)
        elif self._specs.get(spec.id) != spec:
            self._specs[spec.id] = spec
            self._workers.add(spec.id)
        return service_url(self._cluster.settings, spec.id)

    async def remove(self, backend: ShardId) -> None:
        self._specs.pop(backend, None)
        self._drift.forget(backend)
        name = self._name(backend)
        await self._cluster.api.delete(KNATIVE_SERVICES, name)
        self._cluster.errors.clear(_activity(backend))
        if service := self._services.objects.get(name):
            message = f"{backend} is not needed any more; its data is in the object store"
            self._cluster.events.emit(service, "ShardRemoved", message)

    async def observe(self) -> Sequence[BackendState]:
        ids = {backend for service in self._services.objects.values() if (backend := _backend_of(service))}
        for backend in ids | self._lives.keys():
            self._look_at(backend)
        now = self._cluster.time.monotonic()
        states = [life.state(now) for life in self._lives.values()]
        return sorted(states, key=lambda state: (state.kind is Kind.PREDICTOR, state.id))

    async def close(self) -> None:
        """Leave the backends as they are."""

    async def _keep(self, name: str) -> bool:
        """Create or repair one service; return whether the backend is still wanted.

        A repair may start the pod anew, so repairs wait for each other. Creations need not wait.
        """
        backend = ShardId(name)
        spec = self._specs.get(backend)
        if spec is None:
            return False
        await self._pods.synced.wait()  # which tell whether the backend is awake
        existing = self._services.objects.get(self._name(backend))
        if existing is None:
            await self._apply(spec, None)
        elif self._drift.has_drifted(backend, await self._make_service(spec, existing), existing):
            async with self._rollout:
                written = await self._apply(spec, existing)
                if written["metadata"]["generation"] != existing["metadata"]["generation"]:
                    await self._wait_for_rollout(written)
        return True

    async def _apply(self, spec: BackendSpec, existing: Json | None) -> Json:
        activity = _activity(spec.id)
        try:
            if existing is not None:
                self._drift.note_correction(spec.id)
            body = await self._make_service(spec, existing)
            written = await self._cluster.api.apply(KNATIVE_SERVICES, body)
        except ClusterError as error:
            self._cluster.errors.report(activity, error)
            raise
        self._cluster.errors.clear(activity)
        self._drift.note_applied(spec.id, body, written)
        if existing is None:
            settings = self._cluster.settings
            memory = settings.shard_memory if spec.kind is Kind.SHARD else settings.predictor_memory
            self._cluster.events.emit(written, "ShardCreated", f"{spec.id} serves the jobs, with {memory} of memory")
        return written

    async def _make_service(self, spec: BackendSpec, existing: Json | None) -> Json:
        owners = tuple(await self._cluster.owner.fetch_references())
        kept = retention_of(existing) if existing and self._keeps_retention(spec.id) else None
        return make_service(spec, replace(self._release, owners=owners, kept_retention=kept))

    def _keeps_retention(self, backend: ShardId) -> bool:
        """Say whether a new retention has to wait: it would end a pod, or the jobs have not been heard yet."""
        life = self._lives.get(backend)
        return not self._knows_retention or (life is not None and life.observation.phase in RUNNING)

    async def _wait_for_rollout(self, written: Json) -> None:
        """Return once Knative says that a changed service is ready or cannot be, or after `ROLLOUT_S`."""
        time, generation = self._cluster.time, written["metadata"]["generation"]
        end = time.monotonic() + ROLLOUT_S
        while time.monotonic() < end:
            status = self._services.objects.get(written["metadata"]["name"], {}).get("status", {})
            ready = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
            if status.get("observedGeneration", 0) >= generation and ready.get("Ready") in ("True", "False"):
                return
            await time.sleep(LOOK_S)

    def _service_changed(self, name: str) -> None:
        service = self._services.objects.get(name)
        backend = _backend_of(service) or ShardId(name.removeprefix(f"{self._cluster.settings.release}-"))
        if backend in self._specs:
            self._workers.add(backend)
        self._look_at(backend)

    def _pod_changed(self, name: str) -> None:
        backends = {backend for backend, life in self._lives.items() if _runs_in(life.observation, name)}
        if backend := _backend_of(self._pods.objects.get(name)):
            backends.add(backend)
        for backend in backends:
            self._look_at(backend)

    def _look_at(self, backend: ShardId) -> None:
        """Observe what the backend is doing now, and emit events about what has changed."""
        service = self._services.objects.get(self._name(backend))
        life = self._lives.get(backend)
        if life is None:
            if service is None:
                return
            spec = self._specs.get(backend) or BackendSpec(backend, 0, "", 0.0, _kind_of(backend))
            life = self._lives[backend] = Life(spec, service_url(self._cluster.settings, backend), self._watcher)
        pods = [pod for pod in self._pods.objects.values() if _backend_of(pod) == backend]
        before, start_before = life.observation, life.last_start
        life.record(observe(service, pods), self._cluster.time.monotonic())
        if life.observation.phase is Phase.ZERO and before.phase in RUNNING and backend in self._specs:
            self._workers.add(backend)  # a retention may have waited for this
        if service is not None:
            self._emit_changes(service, life, before)
            if life.last_start and life.last_start is not start_before:
                self._emit_start(service, life, life.last_start)
        if service is None and not pods and backend not in self._specs:
            del self._lives[backend]

    def _emit_changes(self, service: Json, life: Life, before: Observation) -> None:
        events, failure = self._cluster.events, life.observation.failure
        if failure and failure != before.failure:
            events.emit(service, failure.reason, failure.message, Severity.WARNING)
        if before.failure and life.observation.phase is Phase.AWAKE:
            events.emit(service, "ShardRecovered", f"{life.spec.id} serves again")

    def _emit_start(self, service: Json, life: Life, start: Start) -> None:
        """Emit an event that says why a backend was replaced. Waking from zero needs none: the metrics count it.

        The count of starts and the pod make each event another one: a second start for the same reason is none that
        the recorder may suppress as a repetition.
        """
        if start.cause is Cause.REQUEST:
            return
        severity = Severity.NORMAL if start.cause is Cause.ROLLOUT else Severity.WARNING
        pod = f" in {incarnation.pod}" if (incarnation := life.observation.incarnation) else ""
        message = f"{life.spec.id} was started anew{pod} and was ready after {start.seconds:.1f} s: {start}"
        message += f" (start {life.starts} that this controller saw)"
        self._cluster.events.emit(service, "ShardReplaced", message, severity)

    def _name(self, backend: ShardId) -> str:
        return service_name(self._cluster.settings.release, backend)


def _activity(backend: ShardId) -> str:
    return f"applying the service of {backend}"


def _backend_of(item: Mapping[str, Json] | None) -> ShardId | None:
    name = (item or {}).get("metadata", {}).get("labels", {}).get(SHARD)
    return ShardId(name) if name else None


def _runs_in(observation: Observation, pod: str) -> bool:
    return observation.incarnation is not None and observation.incarnation.pod == pod


def _kind_of(backend: ShardId) -> Kind:
    return Kind.PREDICTOR if backend.startswith(Kind.PREDICTOR.value) else Kind.SHARD
