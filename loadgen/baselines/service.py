"""A baseline without HTTP: stores and commits rounds, runs workloads."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from threading import Lock
from typing import Any

from flstore_core import codec, layout
from flstore_core.cost import Bill
from flstore_core.cost.prices import AWS
from flstore_core.errors import Conflict, InvalidTensors, NotFound, RoundCommitted, unknown
from flstore_core.generations import Generations
from flstore_core.ids import AGGREGATE, ClientId, JobId
from flstore_core.records import Job, Member, Round, to_bytes, weight_in
from flstore_core.storage import ObjectStore
from flstore_core.workloads import registry
from loadgen.baselines.aggregator import Aggregator, Tally
from loadgen.baselines.sources import ModelSource


@dataclass(frozen=True, slots=True)
class Upload:
    """One model, received whole."""

    job: JobId
    round: int
    client: ClientId
    body: memoryview
    metrics: Mapping[str, Any]


class Service:
    """An aggregator for many jobs. Safe to share between threads.

    Args:
        machine_hour: dollars for an hour of the machine, and of its cache if it has one.
    """

    def __init__(self, store: ObjectStore, source: ModelSource, machine_hour: float) -> None:
        self._store = store
        self._generations = Generations(store)
        self._source = source
        self._machine_hour = machine_hour
        self._aggregators: dict[JobId, Aggregator] = {}
        self._open: dict[tuple[JobId, int], dict[ClientId, Member]] = {}
        self._with_aggregate: dict[JobId, list[int]] = {}
        self._lock = Lock()

    def create_job(self, job: Job) -> tuple[Job, bool]:
        """Create a job, and return whether it is new; raise `Conflict` if its name has another schema."""
        try:
            stored = self._generations.read(job.id)
        except NotFound:
            self._generations.begin(job)
            return job, True
        if stored.schema != job.schema:
            raise Conflict(f"job {job.id!r} exists with another schema")
        return stored, False

    def job(self, job: JobId) -> Job:
        return self._aggregator(job).job

    def put(self, upload: Upload) -> tuple[Member, bool]:
        """Store a model, and return whether it is new; raise `Conflict` if the client sent other bytes."""
        header = codec.parse(upload.body)
        job = self.job(upload.job)
        job.schema.check(header.schema)
        members = self._members(upload.job, upload.round)
        if not header.is_canonical:
            raise InvalidTensors("a baseline takes tensors in the order of the safetensors library only")
        digest = sha256(upload.body).hexdigest()
        if earlier := members.get(upload.client):
            if earlier.sha256 != digest:
                raise Conflict(f"round {upload.round} has other bytes from {upload.client!r}")
            return earlier, False
        key = layout.tensors(job.home, upload.round, upload.client)
        self._store.put(key, upload.body)
        self._source.offer(key, upload.body)
        offset, now = header.data_offset, time.time()
        metrics = {**json.loads(header.metadata.get("metrics", "{}")), **upload.metrics}
        weight = weight_in(metrics, job.weight_key)
        member = Member(upload.client, digest, len(upload.body), offset, metrics, now, keyed_weight=weight)
        self._store.put(layout.member(job.home, upload.round, upload.client), to_bytes(member.to_json()))
        with self._lock:
            members[upload.client] = member
        return member, True

    def get(self, job: JobId, number: int, client: ClientId) -> bytes | memoryview:
        """Return a stored model's bytes; raise `NotFound`."""
        return self._source.fetch(layout.tensors(self.job(job).home, number, client))[0]

    def commit(self, job: JobId, number: int, metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> Round:
        """Commit a round; raise `NotFound` if it has no updates."""
        aggregator = self._aggregator(job)
        with self._lock:
            members = self._open.pop((job, number), None)
        if not members:
            raise unknown(f"open round of job {job!r}:", str(number), [])
        aggregate = members.pop(AGGREGATE, None)
        earlier = self._with_aggregate.setdefault(job, [])
        base = max((each for each in earlier if each < number), default=None)
        clients = tuple(members[name] for name in sorted(members))
        record = Round(number, base, clients, aggregate, metrics, settings, time.time())
        self._store.put(layout.round_record(aggregator.job.home, number), to_bytes(record.to_json()))
        if aggregate:
            earlier.append(number)
        aggregator.add(record)
        return record

    def run(self, job: JobId, workload: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return a workload's answer in the form of FLStore's."""
        tally, started = Tally(), time.perf_counter()
        result = self._aggregator(job).run(workload, params, tally)
        seconds = time.perf_counter() - started
        return {
            "job": job,
            "workload": workload,
            "pattern": registry.get(workload).pattern.value,
            "rounds": [],
            "result": result,
            "execution": self._execution(tally, seconds),
        }

    def close(self) -> None:
        self._store.close()

    def _execution(self, tally: Tally, seconds: float) -> dict[str, Any]:
        gets = tally.misses * AWS.store_get.dollars
        bill = Bill(compute=seconds / 3600.0 * self._machine_hour, requests=gets)
        return {
            "where": "aggregator",
            "cached": False,
            **asdict(tally),
            "total_ms": round(1e3 * seconds, 3),
            "cost": bill.to_json(),
        }

    def _members(self, job: JobId, number: int) -> dict[ClientId, Member]:
        """Return the mutable members of an open round."""
        if self._aggregator(job).is_committed(number):
            raise RoundCommitted(f"round {number} of job {job!r} is committed")
        with self._lock:
            return self._open.setdefault((job, number), {})

    def _aggregator(self, job: JobId) -> Aggregator:
        with self._lock:
            if job not in self._aggregators:
                try:
                    aggregator = self._aggregators[job] = Aggregator(self._store, job, self._source)
                except NotFound:
                    raise unknown("job", job, self._aggregators) from None
                self._with_aggregate[job] = list(aggregator.rounds_with_aggregate)
            return self._aggregators[job]
