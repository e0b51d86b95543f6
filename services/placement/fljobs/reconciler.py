"""Reconciles one `FLJob` object with the job in the store: the object creates the job, and shows its state.

Each pass starts from the newest object and does what is missing. So it can be repeated at any time, and it may end at
any point. The cases, in the order in which a pass looks at them:

    the object is                              the pass
    not parseable                              shows `InvalidSpec`; or, if it is being deleted, removes its finalizer
    being deleted                              deletes the job's data if `deletionPolicy` is Delete and no other object
                                               speaks for the job; then removes its finalizer
    a duplicate                                shows `Duplicate`; a mirror is deleted
    a mirror of a job that is gone             is deleted
    of a job that does not exist               creates it, from `schema` or the schema of `schemaFrom`
    in contradiction to the stored job         shows `Conflict`
    of a job without a place                   has the controller place it, and shows the refusal if it cannot
    of a placed job                            shows `Ready`, `Placed`, `Degraded` and its figures

Example: `kubectl apply` of an object "digits" with a schema. Pass 1 writes `jobs/digits/job.json` (Event `JobCreated`),
has it placed (Event `JobPlaced`) and writes the status `Ready`. That write changes the object, which causes pass 2: all
is there already, the status comes out the same, and nothing is written. Further passes refresh the figures every 15 s.
"""

import asyncio
import logging
from collections.abc import Sequence

from flstore_core.errors import FLStoreError, InvalidParameters, NotFound, Unavailable
from flstore_core.placement import Assignment
from flstore_core.records import Job
from flstore_core.schema import Schema
from services.placement.controller import Controller
from services.placement.fljobs.objects import Objects
from services.placement.fljobs.spec import (
    Declaration,
    explain_excess,
    find_contradictions,
    make_record,
    parse_declaration,
)
from services.placement.fljobs.status import (
    NOT_DEGRADED,
    Condition,
    Facts,
    make_degraded,
    make_placed,
    make_ready,
    make_status,
)
from services.placement.fljobs.usage import Usage
from services.placement.fljobs.warmth import Hot, Warmth, measure_hot
from services.placement.kube.cluster import Cluster
from services.placement.kube.errors import ClusterError, ObjectConflict, ObjectMissing
from services.placement.kube.events import Severity
from services.placement.kube.resources import FLJOBS, Json, name_of
from services.placement.runtime.base import BackendState

logger = logging.getLogger(__name__)

FINALIZER = "flstore.dev/data"
"""Keeps an object with `deletionPolicy: Delete` until its job's data is deleted."""

Shown = tuple[Facts, list[Condition]]
"""What a pass shows in the object's status."""


class Reconciler:
    """Reconciles one object at a time."""

    def __init__(
        self, cluster: Cluster, objects: Objects, controller: Controller, usage: Usage, warmth: Warmth
    ) -> None:
        self._cluster = cluster
        self._objects = objects
        self._controller = controller
        self._memory = controller.memory
        self._usage = usage
        self._warmth = warmth

    async def reconcile(self, name: str) -> bool:
        """Make job and object agree as far as possible; return whether the object exists."""
        item = self._objects.get(name)
        if item is None:
            return False
        deleting = "deletionTimestamp" in item["metadata"]
        try:
            declaration = parse_declaration(item)
        except FLStoreError as error:
            await (self._set_finalizer(item, False) if deleting else self._reject(item, error))
            return True
        if deleting:
            await self._finish_deletion(item, declaration)
            return True
        if _has_finalizer(item) != declaration.deletes_data:
            item = await self._set_finalizer(item, declaration.deletes_data)
        await self._show(item, *await self._realize(item, declaration))
        return True

    async def _realize(self, item: Json, declaration: Declaration) -> Shown:
        """Create and place the job; return what to show, whether that succeeded or not."""
        claimant = self._objects.find_claimant(declaration.job)
        if claimant != name_of(item):
            if declaration.mirrored:
                await self._cluster.api.delete(FLJOBS, name_of(item))
            message = f"FLJob {claimant!r} already speaks for job {declaration.job!r}; delete one of the two"
            return Facts(), _refuse("Duplicate", message)
        try:
            job = await self._read_or_create_job(item, declaration)
        except (InvalidParameters, NotFound) as error:
            return Facts(), _refuse(_reason(error), error.detail)
        if contradictions := find_contradictions(declaration, job):
            message = (
                f"job {job.id!r} exists in the store with other settings: {'; '.join(contradictions)}; make the object "
                "agree, or choose another name"
            )
            return await self._gather_facts(job, None), _refuse("Conflict", message)
        return await self._place(item, declaration, job)

    async def _read_or_create_job(self, item: Json, declaration: Declaration) -> Job:
        job = await asyncio.to_thread(self._memory.read_job, declaration.job)
        if job is not None:
            return job
        if declaration.mirrored:
            await self._cluster.api.delete(FLJOBS, name_of(item))
            raise NotFound(f"job {declaration.job!r} was deleted over HTTP; this object is deleted too")
        new = make_record(declaration, await self._find_schema(declaration), self._cluster.time.now())
        if await asyncio.to_thread(self._memory.create_job, new):
            message = f"job {new.id} of {new.schema.parameters} parameters is in the store"
            self._cluster.events.emit(item, "JobCreated", message)
        job = await asyncio.to_thread(self._memory.read_job, declaration.job)
        if job is None:
            raise Unavailable(f"job {declaration.job!r} was deleted while it was being created; trying again")
        return job

    async def _find_schema(self, declaration: Declaration) -> Schema:
        if declaration.schema is not None:
            return declaration.schema
        if declaration.schema_from is None:
            raise InvalidParameters(
                f"job {declaration.job!r} is not in the store yet; give spec.schema, name a job that has one in "
                "spec.schemaFrom, or create the job over HTTP"
            )
        other = await asyncio.to_thread(self._memory.read_job, declaration.schema_from)
        if other is None:
            raise NotFound(f"spec.schemaFrom names job {declaration.schema_from!r}, which does not exist")
        return other.schema

    async def _place(self, item: Json, declaration: Declaration, job: Job) -> Shown:
        assignment = self._controller.board.table.jobs.get(job.id)
        if assignment is None:
            try:
                assignment = (await self._controller.place(job.id)).jobs[job.id]
            except FLStoreError as error:
                if not error.retryable:
                    self._cluster.events.emit(item, "JobRefused", error.detail, Severity.WARNING)
                return await self._gather_facts(job, None), _refuse(_reason(error), error.detail)
            self._cluster.events.emit(item, "JobPlaced", make_placed(assignment).message)
        facts = await self._gather_facts(job, assignment)
        placed = make_placed(assignment)
        degraded = make_degraded(facts.holders, self._list_complaints(declaration, job))
        return facts, [make_ready(placed), placed, degraded]

    def _list_complaints(self, declaration: Declaration, job: Job) -> list[tuple[str, str]]:
        errors, excess = self._cluster.errors, explain_excess(declaration, job)
        return ([errors.summarize()] if errors else []) + ([("OverBudget", excess)] if excess else [])

    async def _gather_facts(self, job: Job, assignment: Assignment | None) -> Facts:
        durable = await asyncio.to_thread(self._usage.measure, job)
        if assignment is None:
            return Facts(job, None, durable)
        states = await self._controller.fleet.runtime.observe()
        owners = {shard for slice_owners in assignment.owners for shard in slice_owners}
        holders = [state for state in states if state.id in owners]
        return Facts(job, assignment, durable, await self._measure_hot(job, assignment, states, holders), holders)

    async def _measure_hot(
        self, job: Job, assignment: Assignment, states: Sequence[BackendState], holders: Sequence[BackendState]
    ) -> Hot:
        inventories = await self._warmth.fetch(states)
        held = [inventories[state.id] for state in holders if state.id in inventories]
        return measure_hot(job, assignment.slices, held)

    async def _finish_deletion(self, item: Json, declaration: Declaration) -> None:
        """Remove the finalizer of an object that is being deleted, so that it goes.

        Before that, delete the job's data, if the object says so and no other object speaks for the job. The finalizer
        goes last, so a pass that breaks off is repeated.
        """
        if not _has_finalizer(item):
            return
        job = declaration.job
        if declaration.deletes_data and self._objects.find_claimant(job) in (None, name_of(item)):
            await asyncio.to_thread(self._memory.delete_job, job)
            await self._controller.forget(job)
            self._usage.forget(job)
            self._cluster.events.emit(item, "JobDeleted", f"job {job} and all its data are deleted from the store")
        await self._set_finalizer(item, False)

    async def _set_finalizer(self, item: Json, present: bool) -> Json:
        """Add or remove the finalizer, and return the object as it is then."""
        metadata = item["metadata"]
        others = [name for name in metadata.get("finalizers", ()) if name != FINALIZER]
        finalizers = [*others, FINALIZER] if present else others
        # With the version, the server refuses the change if somebody else has changed the list since it was read.
        change = {"resourceVersion": metadata["resourceVersion"], "finalizers": finalizers}
        try:
            return await self._cluster.api.merge(FLJOBS, name_of(item), {"metadata": change})
        except ObjectMissing:
            return item

    async def _reject(self, item: Json, error: FLStoreError) -> None:
        self._cluster.events.emit(item, "InvalidSpec", error.detail, Severity.WARNING)
        await self._show(item, Facts(), _refuse("InvalidSpec", error.detail))

    async def _show(self, item: Json, facts: Facts, conditions: list[Condition]) -> None:
        """Write the status if it has changed."""
        status = make_status(item, facts, conditions, self._cluster.time.now())
        if status == item.get("status"):
            return
        body = {**FLJOBS.head(name_of(item), namespace=self._cluster.api.namespace), "status": status}
        try:
            await self._cluster.api.apply(FLJOBS, body, "status")
        except (ObjectMissing, ObjectConflict) as error:
            logger.info("the status of FLJob %s was not written: %s", name_of(item), error)


def _has_finalizer(item: Json) -> bool:
    return FINALIZER in item["metadata"].get("finalizers", ())


def _refuse(reason: str, message: str) -> list[Condition]:
    placed = Condition("Placed", False, reason, message)
    return [make_ready(placed), placed, NOT_DEGRADED]


def _reason(error: FLStoreError) -> str:
    """Return the cluster's reason, or else the error's code in CamelCase."""
    if isinstance(error, ClusterError):
        return error.reason
    return "".join(word.capitalize() for word in error.code.split("-"))
