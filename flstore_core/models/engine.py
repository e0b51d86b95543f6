"""The predictor's engine: one object that keeps whole models and runs workloads over them."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from time import monotonic, perf_counter
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from flstore_core import codec
from flstore_core.cache import Cache
from flstore_core.errors import NotEnoughData, NotFound
from flstore_core.ids import ClientId, JobId
from flstore_core.model_names import ModelName
from flstore_core.models.base import Model, Process, Processes, Program
from flstore_core.models.library import Item, Library, Tally
from flstore_core.models.protocol import ARTIFACT, ModelRef, RunRequest
from flstore_core.models.running import Limits, Running
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key, Request
from flstore_core.records import Job
from flstore_core.shard.protocol import Answer, Work
from flstore_core.storage import ObjectStore
from flstore_core.workloads import InputSpec, RunnableModel, registry


class Engine:
    """Models of many jobs within one byte budget. Methods may be called from any thread.

    Args:
        processes: where programs run.
        limits: what one run may take.
    """

    def __init__(
        self, store: ObjectStore, cache: Cache[Item], processes: Processes, limits: Limits | None = None
    ) -> None:
        self._cache = cache
        self._processes = processes
        self._limits = limits or Limits()
        self.library = Library(store, cache)

    def begin(self) -> Running:
        """Return a run that begins now."""
        return Running(self._limits, monotonic)

    def run(self, request: RunRequest, running: Running) -> Answer:
        """Run a workload's `run`; return its partial as safetensors.

        Raises:
            RunTooLong, RunTooLarge: past the limits of a run.
        """
        workload = registry.get_model(request.workload)
        params = registry.params_from_json(workload, request.params)
        with self.access(request, running) as access:
            started, fetched_s = perf_counter(), access.tally.work.fetch_s
            body = codec.encode(workload.run(access, params))
            work = access.tally.work
        return Answer(body, work + Work(compute_s=perf_counter() - started - (work.fetch_s - fetched_s)))

    def access(self, request: RunRequest, running: Running | None = None) -> "Access":
        """Return access to the models and data sets that a request names, counted as one request of the cache.

        It is a context manager: its end gives back the process that the program ran in.
        """
        tally = Tally()
        job = self.library.jobs.get(request.job, request.digest, request.generation)
        program = self.library.program(job, request.program, tally)
        keys = tuple(dict.fromkeys(ref.key(job.id) for ref in request.models))
        cached = self._cache.request(Request(job.id, request.workload, request.pattern, keys)).values
        tally.add(hits=len(cached), bytes_touched=sum(value.nbytes for value in cached.values()))
        return Access(self.library, self._processes, job, program, request, tally, running or self.begin())

    def forget_job(self, job: JobId) -> int:
        """Drop everything of a job; return how many objects went."""
        self.library.jobs.forget(job)
        self._processes.forget(job)
        return self._cache.discard_job(job)

    def forget_client(self, job: JobId, client: ClientId) -> int:
        """Drop an erased client's models, and those that workloads made, of it or of others; return how many went."""
        keys = [key for key in self._cache.keys() if key.job == job]  # noqa: SIM118 - the method of a cache
        return sum(self._cache.discard(key) for key in keys if key.client == client or key.client.startswith(ARTIFACT))

    def inventory(self) -> dict[str, Any]:
        """Return the cache's counters, and objects and rounds held by job, as plain JSON values."""
        jobs: dict[str, dict[str, Any]] = {}
        for key in self._cache.keys():  # noqa: SIM118 - the method of a cache, which is no mapping
            entry = jobs.setdefault(key.job, {"objects": 0, "slices": [], "rounds": set()})
            entry["objects"] += 1
            if isinstance(self._cache.get(key), Model):
                entry["rounds"].add(key.round)
        for entry in jobs.values():
            entry["rounds"] = sorted(entry["rounds"])
        return {**self._cache.snapshot(), "jobs": jobs}

    def explain(self, key: Key) -> dict[str, Any]:
        """Say why a key is cached, or when and why it left."""
        explanation = self._cache.explain(key)
        return {
            "cached": explanation.cached,
            "since": explanation.since,
            "why": explanation.why,
            "pinned": explanation.pinned,
        }


class Access:
    """Implements `flstore_core.workloads.ModelAccess`."""

    def __init__(
        self,
        library: Library,
        processes: Processes,
        job: Job,
        program: Program,
        request: RunRequest,
        tally: Tally,
        running: Running,
    ) -> None:
        self._library = library
        self._processes = processes
        self._job = job
        self._program = program
        self._pattern: Pattern = request.pattern
        self._datasets: Mapping[str, str] = request.datasets
        self._refs = {ref.name: ref for ref in request.models}
        self._running = running
        self._lease = ExitStack()
        self.tally = tally

    def __enter__(self) -> "Access":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lease.__exit__(kind, error, trace)

    @property
    def models(self) -> Sequence[ModelName]:
        return list(self._refs)

    @property
    def inputs(self) -> Sequence[InputSpec]:
        return self._process.inputs

    def progress(self, done: int, total: int) -> None:
        self._running.tell(done, total)

    def num_examples(self, name: ModelName) -> float:
        return self._ref(name).num_examples

    def model(self, name: ModelName, scale: float = 1.0) -> RunnableModel:
        return self._process.bind([(1.0, self._stored(name))], scale)

    def mixture(self, parts: Sequence[tuple[float, ModelName]]) -> RunnableModel:
        if not parts:
            raise NotEnoughData("a mixture needs at least one model")
        return self._process.bind([(weight, self._stored(name)) for weight, name in parts], 1.0)

    def dataset(self, name: str) -> Mapping[str, NDArray[Any]]:
        if name not in self._datasets:
            raise NotFound(f"data set {name!r} is not in the request")
        return self._library.dataset(self._job, name, self._datasets[name], self.tally).arrays

    def _stored(self, name: ModelName) -> Model:
        return self._library.model(self._job, self._ref(name), self._pattern, self.tally)

    def _ref(self, name: ModelName) -> ModelRef:
        try:
            return self._refs[name]
        except KeyError:
            raise NotFound(f"model {str(name)!r} is not in the request") from None

    @cached_property
    def _process(self) -> Process:
        """The process of the job's program: leased when it is first needed, and then for the rest of the request."""
        return self._lease.enter_context(self._processes.lease(self._program, self._running))
