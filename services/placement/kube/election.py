"""Leader election among controllers, by a Lease: one leads and acts, the others stand by and know its address.

The protocol is that of client-go's leaderelection package
(https://pkg.go.dev/k8s.io/client-go/tools/leaderelection). The Lease names its holder and the time of its last
renewal. The holder renews it every `RETRY_S`. Another controller takes the lease once it has seen no change for the
lease's whole duration. It measures that on its *own* clock from the moment when it saw the last change, so clocks need
not agree. A write carries the resource version that was read, so if two controllers take a lease at once, one of them
gets a conflict.

A leader that cannot renew steps down after `RENEW_DEADLINE_S`, which is shorter than the lease. With 15 s and 10 s:

    t = 0    A renews for the last time, B sees the renewal at t = 1
    t = 2    the API server becomes unreachable for A
    t = 10   A steps down: 10 s have passed since it *began* its last successful renewal
    t = 16   B has seen no change for 15 s, and takes the lease

So nobody leads from 10 to 16, and two never lead at once. The gap costs no data: shards go on serving by the last
table. A leader that is told to leave empties the lease, and then another one takes over within `RETRY_S`.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from services.common import tasks
from services.placement.kube.cluster import Cluster
from services.placement.kube.errors import ClusterError, ObjectConflict, ObjectMissing
from services.placement.kube.notation import format_micro_time
from services.placement.kube.resources import LEASES, Json
from services.placement.timing import run_within

logger = logging.getLogger(__name__)

LEASE_S = 15
"""A lease that has not been renewed for so many seconds may be taken."""
RENEW_DEADLINE_S = 10.0
"""A leader that could not renew its lease for so many seconds steps down. This is shorter than the lease."""
RETRY_S = 2.0
"""Seconds between two renewals, and between two looks of a controller that stands by."""
RELEASE_S = 2.0
"""Longest time, in seconds, for which a leader that leaves tries to empty its lease."""

ADDRESS = "flstore.dev/address"
"""Annotation of the Lease: the leader's URL, for those who stand by."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One controller in the election."""

    identity: str
    address: str
    """Its URL."""


class Election:
    """Campaigns, leads, steps down, and campaigns again."""

    def __init__(self, cluster: Cluster, elected: Callable[[Json], None]) -> None:
        """`elected` gets the Lease whenever this controller begins to lead."""
        self._cluster = cluster
        self._api = cluster.api
        self._time = cluster.time
        self._name = cluster.settings.lease_name
        self._me = Candidate(cluster.settings.identity, cluster.settings.address)
        self._elected = elected
        self._last_change: tuple[Any, ...] = ()
        self._last_change_at = 0.0
        self.leading = False
        self.leader: Candidate | None = None
        """Who leads, as far as this controller knows."""

    async def run(self, lead: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Campaign until cancelled. `lead()` runs while this controller leads, and is cancelled when it steps down."""
        try:
            while True:
                begun = self._time.monotonic()
                lease = await self._try_lease()
                if lease is not None:
                    await self._lead(lead, lease, begun + RENEW_DEADLINE_S)
                await self._time.sleep(RETRY_S)
        finally:
            await self._release()

    async def _lead(self, lead: Callable[[], Coroutine[Any, Any, None]], lease: Json, deadline: float) -> None:
        logger.info("%s leads", self._me.identity)
        self.leading = True
        self._elected(lease)
        work = tasks.begin(lead(), "leader's work")
        try:
            await self._renew_until_lost(work, deadline)
        finally:
            self.leading = False
            await tasks.end(work)
            logger.info("%s has stepped down", self._me.identity)

    async def _renew_until_lost(self, work: asyncio.Task[None], deadline: float) -> None:
        """Return when the lease is lost, when no renewal has succeeded by `deadline`, or when `work` has ended.

        Each renewal moves the deadline. The new one counts from before the call, not from the answer: the server may
        have written the renewal long before its answer arrives, and others count from the write.
        """
        while not work.done() and (left_s := deadline - self._time.monotonic()) > 0:
            await self._time.sleep(min(RETRY_S, left_s))
            begun = self._time.monotonic()
            renewal = await run_within(self._time, deadline - begun, self._try_lease()) if begun < deadline else None
            if renewal:
                deadline = begun + RENEW_DEADLINE_S
            elif self.leader != self._me:
                return  # somebody else has the lease; a failed call alone leaves `leader` as it was, and is tried again

    async def _try_lease(self) -> Json | None:
        """Take or renew the lease and return it; None if another holds it or the server does not answer."""
        try:
            lease = await self._take_or_renew()
        except ObjectConflict:
            return None
        except ClusterError as error:
            self._cluster.errors.report("leader election", error)
            return None
        self._cluster.errors.clear("leader election")
        return lease

    async def _take_or_renew(self) -> Json | None:
        try:
            lease = await self._api.get(LEASES, self._name)
        except ObjectMissing:
            head = LEASES.head(self._name, ownerReferences=await self._cluster.owner.fetch_references())
            return await self._write(self._api.create, {**head, "spec": {"leaseTransitions": 0}})
        self._note(lease)
        holder = lease["spec"].get("holderIdentity")
        if holder and holder != self._me.identity and not self._has_expired(lease):
            return None
        return await self._write(self._api.replace, lease)

    async def _write(self, write: Callable[[Any, Json], Coroutine[Any, Any, Json]], lease: Json) -> Json:
        """Write the lease with this controller as its holder, renewed now."""
        spec, metadata = lease["spec"], lease["metadata"]
        annotations = {**(metadata.get("annotations") or {}), ADDRESS: self._me.address}
        body = {
            **lease,
            "metadata": {**metadata, "annotations": annotations},
            "spec": {**spec, **self._hold(spec)},
        }
        written = await write(LEASES, body)
        self._note(written)
        return written

    def _hold(self, spec: Json) -> Json:
        """Return the fields of a lease that this controller takes or renews now."""
        now = format_micro_time(self._time.now())
        renewed = spec.get("holderIdentity") == self._me.identity
        return {
            "holderIdentity": self._me.identity,
            "leaseDurationSeconds": LEASE_S,
            "renewTime": now,
            "acquireTime": spec.get("acquireTime", now) if renewed else now,
            "leaseTransitions": (spec.get("leaseTransitions") or 0) + (0 if renewed else 1),
        }

    def _note(self, lease: Json) -> None:
        """Remember the leader, and when on this controller's clock the lease last changed."""
        spec = lease["spec"]
        holder = spec.get("holderIdentity")
        change = (holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if change != self._last_change:
            self._last_change, self._last_change_at = change, self._time.monotonic()
        address = (lease["metadata"].get("annotations") or {}).get(ADDRESS, "")
        self.leader = Candidate(holder, address) if holder else None

    def _has_expired(self, lease: Json) -> bool:
        duration_s = lease["spec"].get("leaseDurationSeconds") or LEASE_S
        return self._time.monotonic() - self._last_change_at >= duration_s

    async def _release(self) -> None:
        """Empty the lease if this controller holds it, so that another may lead at once."""
        with suppress(ClusterError):
            await run_within(self._time, RELEASE_S, self._empty_lease())

    async def _empty_lease(self) -> None:
        lease = await self._api.get(LEASES, self._name)
        if lease["spec"].get("holderIdentity") == self._me.identity:
            empty = {"holderIdentity": "", "leaseDurationSeconds": 1}
            await self._api.replace(LEASES, {**lease, "spec": {**lease["spec"], **empty}})
