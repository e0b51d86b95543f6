"""One of several controllers leads, by a Lease: the others stand by and know where it is.

The protocol is that of client-go's leaderelection package: who holds the lease renews it; who does not takes it once
it has not changed for its whole duration by one's *own* clock, so that clocks need not agree.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from services.common import tasks
from services.placement.kube.api import Api
from services.placement.kube.errors import ClusterError, ObjectConflict, ObjectMissing
from services.placement.kube.owner import Owner
from services.placement.kube.resources import LEASES, Json
from services.placement.kube.timing import Time, micro_stamp, within
from services.placement.kube.troubles import Troubles

logger = logging.getLogger(__name__)

LEASE_S = 15
"""A leader that has not renewed for so long has no claim any more."""
RENEW_DEADLINE_S = 10.0
"""A leader that could not renew for so long steps down, before anybody else may lead."""
RETRY_S = 2.0
"""Between renewals, and between looks of those who stand by."""
RELEASE_S = 2.0
"""Longest farewell of a leader that is told to leave."""

ADDRESS = "flstore.dev/address"
"""Annotation of the Lease: the leader's URL, for those who stand by."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One controller."""

    identity: str
    address: str


class Election:
    """Campaigns, leads, steps down, and campaigns again."""

    def __init__(
        self,
        api: Api,
        name: str,
        me: Candidate,
        owner: Owner,
        time: Time,
        troubles: Troubles,
        elected: Callable[[Json], None],
    ) -> None:
        """`elected` is told the Lease whenever this controller begins to lead."""
        self._api = api
        self._name = name
        self._me = me
        self._owner = owner
        self._time = time
        self._troubles = troubles
        self._elected = elected
        self._seen: tuple[Any, ...] = ()
        self._seen_at = 0.0
        self.leading = False
        self.leader: Candidate | None = None
        """Who leads, as far as is known."""

    async def run(self, lead: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Campaign for as long as this runs; `lead()` runs while this controller leads, and is cancelled at its end."""
        try:
            while True:
                lease = await self._try()
                if lease is not None:
                    await self._term(lead, lease)
                await self._time.sleep(RETRY_S)
        finally:
            await self._release()

    async def _term(self, lead: Callable[[], Coroutine[Any, Any, None]], lease: Json) -> None:
        logger.info("%s leads", self._me.identity)
        self.leading = True
        self._elected(lease)
        work = tasks.begin(lead(), "leader's work")
        try:
            await self._hold(work)
        finally:
            self.leading = False
            await tasks.end(work)
            logger.info("%s has stepped down", self._me.identity)

    async def _hold(self, work: asyncio.Task[None]) -> None:
        """Return when leadership is lost, or when the leader's work has come to an end by itself."""
        renewed = self._time.monotonic()
        while not work.done() and (left := renewed + RENEW_DEADLINE_S - self._time.monotonic()) > 0:
            await self._time.sleep(min(RETRY_S, left))
            begun = self._time.monotonic()
            if await within(self._time, left, self._try()):
                renewed = begun
            elif self.leader != self._me:
                return

    async def _try(self) -> Json | None:
        """Take or renew the lease; return it, or None where another has it or the server does not answer."""
        try:
            lease = await self._claim()
        except ObjectConflict:
            return None
        except ClusterError as error:
            self._troubles.arose("leader election", error)
            return None
        self._troubles.ended("leader election")
        return lease

    async def _claim(self) -> Json | None:
        try:
            found = await self._api.get(LEASES, self._name)
        except ObjectMissing:
            head = LEASES.head(self._name, ownerReferences=await self._owner.references())
            return await self._write(self._api.create, {**head, "spec": {"leaseTransitions": 0}})
        self._observe(found)
        holder = found["spec"].get("holderIdentity")
        if holder and holder != self._me.identity and not self._expired(found):
            return None
        return await self._write(self._api.replace, found)

    async def _write(self, write: Callable[[Any, Json], Coroutine[Any, Any, Json]], lease: Json) -> Json:
        """Write the lease as held by this controller from now on."""
        now, spec = micro_stamp(self._time.now()), lease["spec"]
        mine = spec.get("holderIdentity") == self._me.identity
        metadata = lease["metadata"]
        annotations = {**(metadata.get("annotations") or {}), ADDRESS: self._me.address}
        changed = {
            "holderIdentity": self._me.identity,
            "leaseDurationSeconds": LEASE_S,
            "renewTime": now,
            "acquireTime": spec.get("acquireTime", now) if mine else now,
            "leaseTransitions": (spec.get("leaseTransitions") or 0) + (0 if mine else 1),
        }
        body = {**lease, "metadata": {**metadata, "annotations": annotations}, "spec": {**spec, **changed}}
        written = await write(LEASES, body)
        self._observe(written)
        return written

    def _observe(self, lease: Json) -> None:
        spec = lease["spec"]
        seen = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._time.monotonic()
        holder = spec.get("holderIdentity")
        address = (lease["metadata"].get("annotations") or {}).get(ADDRESS, "")
        self.leader = Candidate(holder, address) if holder else None

    def _expired(self, lease: Json) -> bool:
        duration = lease["spec"].get("leaseDurationSeconds") or LEASE_S
        return self._time.monotonic() - self._seen_at >= duration

    async def _release(self) -> None:
        """Let go of the lease, if it is this controller's, so that another may lead at once."""
        with suppress(ClusterError, TimeoutError):
            async with asyncio.timeout(RELEASE_S):
                lease = await self._api.get(LEASES, self._name)
                if lease["spec"].get("holderIdentity") == self._me.identity:
                    freed = {"holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._api.replace(LEASES, {**lease, "spec": {**lease["spec"], **freed}})
