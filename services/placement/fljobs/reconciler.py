"""`FLJob` objects and the jobs in the store, kept the same: an object makes its job, and shows how it fares."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from flstore_core.errors import FLStoreError, InvalidParameters, NotFound, Unavailable
from flstore_core.ids import JobId
from flstore_core.placement import Assignment
from flstore_core.records import Job
from services.placement.board import Board
from services.placement.controller import Controller
from services.placement.fljobs import status as shown
from services.placement.fljobs.records import Records
from services.placement.fljobs.spec import (
    Declared,
    declared,
    differences,
    lingering_s,
    named,
    over_budget,
    record,
)
from services.placement.fljobs.status import Facts, Verdict
from services.placement.fljobs.usage import Usage
from services.placement.fljobs.warmth import Hot, Warmth, hot
from services.placement.kube.api import Api
from services.placement.kube.errors import ClusterError, ObjectConflict, ObjectMissing
from services.placement.kube.events import Recorder, Severity
from services.placement.kube.resources import FLJOBS, Json, name_of
from services.placement.kube.timing import Time
from services.placement.kube.troubles import Troubles
from services.placement.runtime.base import Runtime, ShardState

logger = logging.getLogger(__name__)

FINALIZER = "flstore.dev/data"
"""Holds an object with `deletionPolicy: Delete` back until its job's data is gone."""

WELL = Verdict("Degraded", False, "AsExpected", "nothing is amiss")


class FLJobs:
    """Reconciles one object at a time; knows all of them by the informer's copy."""

    def __init__(
        self,
        api: Api,
        objects: Mapping[str, Json],
        records: Records,
        controller: Controller,
        runtime: Runtime,
        board: Board,
        usage: Usage,
        warmth: Warmth,
        recorder: Recorder,
        troubles: Troubles,
        time: Time,
    ) -> None:
        self._api = api
        self._objects = objects
        self._records = records
        self._controller = controller
        self._runtime = runtime
        self._board = board
        self._usage = usage
        self._warmth = warmth
        self._recorder = recorder
        self._troubles = troubles
        self._time = time

    async def reconcile(self, name: str) -> bool:
        """Make job and object agree as far as can be; return whether the object exists."""
        item = self._objects.get(name)
        if item is None:
            return False
        try:
            wanted = declared(item)
        except FLStoreError as error:
            return await self._misunderstood(item, error)
        if "deletionTimestamp" in item["metadata"]:
            await self._end(item, wanted)
            return True
        item = await self._hold_back(item, wanted)
        facts, verdicts = await self._bring_about(item, wanted)
        await self._show(item, facts, verdicts)
        return True

    def lingering_s(self, window_s: int) -> float:
        """Return how long idle shards should stay, by the job that wants them longest."""
        longest = 0.0
        for item in self._objects.values():
            try:
                longest = max(longest, lingering_s(declared(item), window_s))
            except FLStoreError:
                continue
        return longest

    def claimant(self, job: JobId) -> str | None:
        """Return the name of the object that speaks for a job: the first that was made, users' before mirrors."""
        claims = [item for item in self._objects.values() if _claims(item, job)]
        return name_of(min(claims, key=_seniority)) if claims else None

    async def _bring_about(self, item: Json, wanted: Declared) -> tuple[Facts, list[Verdict]]:
        """Create and place the job; return what is to be shown, whatever came of it."""
        if (first := self.claimant(wanted.job)) != name_of(item):
            if wanted.mirrored:
                await self._api.delete(FLJOBS, name_of(item))
            message = f"FLJob {first!r} already speaks for job {wanted.job!r}; delete one of the two"
            return Facts(), _refused("Duplicate", message)
        try:
            job = await self._job(item, wanted)
        except (InvalidParameters, NotFound) as error:
            return Facts(), _refused(_reason(error), error.detail)
        if contradictions := differences(wanted, job):
            message = (
                f"job {job.id!r} exists in the store with other settings: {'; '.join(contradictions)}; make the object "
                "agree, or choose another name"
            )
            return await self._facts(job, None), _refused("Conflict", message)
        return await self._place(item, wanted, job)

    async def _job(self, item: Json, wanted: Declared) -> Job:
        """Return the job's record, made now if there is none."""
        found = await asyncio.to_thread(self._records.get, wanted.job)
        if found is not None:
            return found
        if wanted.mirrored:
            await self._api.delete(FLJOBS, name_of(item))
            raise NotFound(f"job {wanted.job!r} was deleted over HTTP; this object goes too")
        new = record(wanted, await self._schema(wanted), self._time.now())
        if await asyncio.to_thread(self._records.create, new):
            self._recorder.tell(
                item, "JobCreated", f"job {new.id} of {new.schema.parameters} parameters is in the store"
            )
        found = await asyncio.to_thread(self._records.get, wanted.job)
        if found is None:
            raise Unavailable(f"job {wanted.job!r} went while it was being made; trying again")
        return found

    async def _schema(self, wanted: Declared) -> Any:
        if wanted.schema is not None:
            return wanted.schema
        if wanted.schema_from is None:
            raise InvalidParameters(
                f"job {wanted.job!r} is not in the store yet; give spec.schema, name a job that has one in "
                "spec.schemaFrom, or create the job over HTTP"
            )
        model = await asyncio.to_thread(self._records.get, wanted.schema_from)
        if model is None:
            raise NotFound(f"spec.schemaFrom names job {wanted.schema_from!r}, which does not exist")
        return model.schema

    async def _place(self, item: Json, wanted: Declared, job: Job) -> tuple[Facts, list[Verdict]]:
        assignment = self._board.table.jobs.get(job.id)
        if assignment is None:
            try:
                assignment = (await self._controller.place(job.id)).jobs[job.id]
            except FLStoreError as error:
                if not error.retryable:
                    self._recorder.tell(item, "JobRefused", error.detail, Severity.WARNING)
                return await self._facts(job, None), _refused(_reason(error), error.detail)
            self._recorder.tell(item, "JobPlaced", shown.placed(assignment).message)
        facts = await self._facts(job, assignment)
        placed = shown.placed(assignment)
        return facts, [shown.ready(placed), placed, shown.degraded(facts.shards, self._complaints(wanted, job))]

    def _complaints(self, wanted: Declared, job: Job) -> list[tuple[str, str]]:
        excess = over_budget(wanted, job)
        return ([self._troubles.summary] if self._troubles else []) + ([("OverBudget", excess)] if excess else [])

    async def _facts(self, job: Job, assignment: Assignment | None) -> Facts:
        durable = await asyncio.to_thread(self._usage.of, job.id)
        shards = await self._shards(assignment)
        return Facts(job, assignment, durable, await self._hot(job, assignment, shards), shards)

    async def _shards(self, assignment: Assignment | None) -> list[ShardState]:
        holders = {shard for owners in assignment.owners for shard in owners} if assignment else set()
        return [state for state in await self._runtime.states() if state.shard in holders]

    async def _hot(self, job: Job, assignment: Assignment | None, shards: list[ShardState]) -> Hot | None:
        if assignment is None:
            return None
        inventories = await self._warmth.inventories(await self._runtime.states())
        return hot(job, assignment.slices, [inventories[s.shard] for s in shards if s.shard in inventories])

    async def _hold_back(self, item: Json, wanted: Declared) -> Json:
        """Have the finalizer on the object just when its end is to be the end of its data."""
        if (FINALIZER in item["metadata"].get("finalizers", ())) == wanted.deletes_data:
            return item
        return await self._finalizer(item, wanted.deletes_data)

    async def _end(self, item: Json, wanted: Declared) -> None:
        """Let a deleted object go; with its data, where it said so and nobody else speaks for the job."""
        if FINALIZER not in item["metadata"].get("finalizers", ()):
            return
        if wanted.deletes_data and self.claimant(wanted.job) in (None, name_of(item)):
            await asyncio.to_thread(self._records.delete, wanted.job)
            await self._controller.forget(wanted.job)
            self._usage.forget(wanted.job)
            self._recorder.tell(item, "JobDeleted", f"job {wanted.job} and all its data are gone from the store")
        await self._finalizer(item, False)

    async def _finalizer(self, item: Json, wanted: bool) -> Json:
        metadata = item["metadata"]
        others = [name for name in metadata.get("finalizers", ()) if name != FINALIZER]
        change = {
            "resourceVersion": metadata["resourceVersion"],
            "finalizers": [*others, FINALIZER] if wanted else others,
        }
        try:
            return await self._api.merge(FLJOBS, name_of(item), {"metadata": change})
        except ObjectMissing:
            return item

    async def _misunderstood(self, item: Json, error: FLStoreError) -> bool:
        if "deletionTimestamp" in item["metadata"]:
            await self._finalizer(item, False)
        else:
            self._recorder.tell(item, "InvalidSpec", error.detail, Severity.WARNING)
            await self._show(item, Facts(), _refused("InvalidSpec", error.detail))
        return True

    async def _show(self, item: Json, facts: Facts, verdicts: list[Verdict]) -> None:
        status = shown.status(item, facts, verdicts, self._time.now())
        if status == item.get("status"):
            return
        body = {**FLJOBS.head(name_of(item), namespace=self._api.namespace), "status": status}
        try:
            await self._api.apply(FLJOBS, body, "status")
        except (ObjectMissing, ObjectConflict) as error:
            logger.info("the status of FLJob %s was not shown: %s", name_of(item), error)


def _claims(item: Json, job: JobId) -> bool:
    try:
        return named(item) == job and "deletionTimestamp" not in item["metadata"]
    except FLStoreError:
        return False


def _seniority(item: Mapping[str, Any]) -> tuple[bool, str, str]:
    return declared_by_hand(item) is False, item["metadata"].get("creationTimestamp", ""), name_of(item)


def declared_by_hand(item: Mapping[str, Any]) -> bool:
    """Say whether a person made the object, and not the controller for a job made over HTTP."""
    return "flstore.dev/origin" not in (item["metadata"].get("labels") or {})


def _refused(reason: str, message: str) -> list[Verdict]:
    verdict = Verdict("Placed", False, reason, message)
    return [shown.ready(verdict), verdict, WELL]


def _reason(error: FLStoreError) -> str:
    """Return the cluster's reason, or else the error's code in CamelCase."""
    if isinstance(error, ClusterError):
        return error.reason
    return "".join(word.capitalize() for word in error.code.split("-"))
