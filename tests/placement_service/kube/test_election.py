"""Leader election: at most one controller leads, whatever happens to clocks, calls and connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common import tasks
from services.placement.kube.election import ADDRESS, LEASE_S, RENEW_DEADLINE_S, RETRY_S, Candidate, Election
from services.placement.kube.errors import NotPermitted
from services.placement.kube.resources import LEASES, Json
from services.placement.timing import Time
from tests.fakes.api import FakeApi, make_cluster
from tests.fakes.time import FakeTime, SkewedTime
from tests.kubernetes.objects import Objects

LEASE = "flstore-placement"


@dataclass
class Controller:
    """One candidate, its way to the server, and the task that campaigns."""

    api: FakeApi
    election: Election
    terms: list[Json]
    working: list[bool]
    task: asyncio.Task[None]

    def leads(self) -> bool:
        return self.election.leading

    async def leave(self) -> None:
        await tasks.end(self.task)


class Contest:
    """Candidates for one lease."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.objects = Objects()
        self.controllers: list[Controller] = []

    def join(self, identity: str, time: Time | None = None) -> Controller:
        api = FakeApi(self.objects, self.time)
        cluster = make_cluster(api, time or self.time, identity=identity, address=f"http://{identity}")
        terms: list[Json] = []
        working: list[bool] = []

        async def lead() -> None:
            working.append(True)
            try:
                await asyncio.Event().wait()
            finally:
                working.pop()

        election = Election(cluster, terms.append)
        task = tasks.begin(election.run(lead), f"election {identity}")
        controller = Controller(api, election, terms, working, task)
        self.controllers.append(controller)
        return controller

    async def lease(self) -> Json:
        return await FakeApi(self.objects, self.time).get(LEASES, LEASE)

    async def pass_while_at_most_one_leads(self, seconds: float) -> None:
        for _ in range(round(2 * seconds)):
            await self.time.advance(0.5)
            assert sum(each.leads() for each in self.controllers) <= 1


@asynccontextmanager
async def contest() -> AsyncIterator[Contest]:
    found = Contest()
    try:
        yield found
    finally:
        for each in found.controllers:
            each.api.request_s = each.api.answer_s = 0.0
        await asyncio.gather(*(each.leave() for each in found.controllers))


async def test_the_first_candidate_creates_the_lease_and_leads() -> None:
    async with contest() as here:
        one = here.join("one")
        await here.time.advance(0.0)
        assert one.leads()
        assert one.working == [True]
        lease = await here.lease()
        assert lease["spec"]["holderIdentity"] == "one"
        assert lease["spec"]["leaseDurationSeconds"] == LEASE_S
        assert lease["spec"]["leaseTransitions"] == 1
        assert lease["spec"]["acquireTime"] == lease["spec"]["renewTime"] == "2026-09-21T14:30:00.000000Z"
        assert lease["metadata"]["annotations"] == {ADDRESS: "http://one"}
        assert [term["metadata"]["name"] for term in one.terms] == [LEASE]


async def test_a_renewal_keeps_the_time_of_acquisition_and_counts_no_transition() -> None:
    async with contest() as here:
        here.join("one")
        await here.time.advance(3 * RETRY_S)
        spec = (await here.lease())["spec"]
        assert (spec["acquireTime"], spec["renewTime"]) == (
            "2026-09-21T14:30:00.000000Z",
            "2026-09-21T14:30:06.000000Z",
        )
        assert spec["leaseTransitions"] == 1


async def test_who_stands_by_knows_the_leader_and_its_address() -> None:
    async with contest() as here:
        here.join("one")
        await here.time.advance(0.0)
        two = here.join("two")
        await here.time.advance(1.0)
        assert two.election.leader == Candidate("one", "http://one")
        assert not two.leads()
        assert two.working == []


async def test_the_example_in_the_module_s_docstring() -> None:
    """A renews at 0 s and is cut off: it steps down at 10 s; B, which saw the renewal at 1 s, leads at 16 s."""
    async with contest() as here:
        a = here.join("a")
        await here.time.advance(1.0)
        b = here.join("b")
        await here.time.advance(0.5)
        a.api.cut = True
        await here.time.advance(8.4)
        assert a.leads(), "9.9 s after its last renewal"
        await here.time.advance(0.2)
        assert not a.leads(), "10.1 s after it"
        assert a.working == []
        await here.time.advance(15.0 - 10.1 + 0.8)
        assert not b.leads(), "14.8 s after b saw the lease change"
        await here.time.advance(RETRY_S)
        assert b.leads()
        assert (await here.lease())["spec"]["leaseTransitions"] == 2


async def test_a_leader_that_leaves_empties_the_lease_and_the_next_leads_within_a_retry() -> None:
    async with contest() as here:
        one = here.join("one")
        await here.time.advance(0.0)
        two = here.join("two")
        await here.time.advance(1.0)
        await one.leave()
        assert (await here.lease())["spec"]["holderIdentity"] == ""
        await here.time.advance(RETRY_S)
        assert two.leads()


async def test_a_controller_that_restarts_under_its_own_name_leads_at_once() -> None:
    async with contest() as here:
        one = here.join("one")
        await here.time.advance(1.0)
        one.api.cut = True  # it dies without a farewell
        await one.leave()
        again = here.join("one")
        await here.time.advance(0.0)
        assert again.leads()
        assert (await here.lease())["spec"]["leaseTransitions"] == 1


async def test_a_lease_that_somebody_else_has_taken_ends_the_term_at_the_next_renewal() -> None:
    async with contest() as here:
        one = here.join("one")
        await here.time.advance(0.0)
        taken = {"spec": {"holderIdentity": "usurper", "leaseTransitions": 7}}
        await FakeApi(here.objects, here.time).merge(LEASES, LEASE, taken)
        await here.time.advance(RETRY_S)
        assert not one.leads()
        assert one.election.leader == Candidate("usurper", "http://one")


async def test_a_leader_whose_work_ends_by_itself_steps_down_and_campaigns_again() -> None:
    time, terms = FakeTime(), list[Json]()

    async def short_work() -> None:
        await time.sleep(1.0)

    election = Election(make_cluster(FakeApi(time=time), time), terms.append)
    campaign = tasks.begin(election.run(short_work), "campaign")
    led = []
    for _ in range(2):
        await time.advance(RETRY_S)
        led.append(election.leading)
    assert led == [False, True]
    assert len(terms) == 2
    await tasks.end(campaign)


async def test_a_slow_acquisition_counts_from_when_it_was_sent() -> None:
    """The server has the lease at 0 s, its answer comes after 7 s; the term must end before others may lead at 15 s."""
    async with contest() as here:
        one = here.join("one")
        one.api.answer_s = 7.0
        await here.time.advance(6.9)
        assert not one.leads()
        await here.time.advance(0.2)
        assert one.leads()
        one.api.cut = True
        await here.time.advance(RENEW_DEADLINE_S - 7.1 + 0.1)
        assert not one.leads()


@pytest.mark.parametrize(("hang_s", "still_leads"), [(1.5, True), (2.5, False), (60.0, False)])
async def test_renewals_too_slow_to_come_in_time_end_the_term(hang_s: float, still_leads: bool) -> None:
    """A renewal is two calls, and the next begins 2 s after it: 2 + 4 × 2.5 s is more than the deadline's 10 s."""
    async with contest() as here:
        one = here.join("one")
        await here.time.advance(0.0)
        one.api.request_s = hang_s
        await here.time.advance(RENEW_DEADLINE_S + 2 * hang_s)
        assert one.leads() == still_leads


async def test_a_refusal_is_a_standing_error_until_it_ends() -> None:
    async with contest() as here:
        one = here.join("one")
        one.api.refusals["get", "leases"] = NotPermitted("may not get leases")
        await here.time.advance(3 * RETRY_S)
        assert not one.leads()
        assert one.api.calls.count(("get", "leases")) == 4, "the wish to lead outlives refusals"
        one.api.refusals.clear()
        await here.time.advance(RETRY_S)
        assert one.leads()


async def test_two_that_take_an_expired_lease_at_once_do_not_both_get_it() -> None:
    async with contest() as here:
        one = here.join("one")
        await here.time.advance(0.0)
        two, three = here.join("two"), here.join("three")
        await here.time.advance(0.5)
        one.api.cut = True
        two.api.request_s = three.api.request_s = 0.25  # both read before either writes
        await here.pass_while_at_most_one_leads(25.0)
        assert sorted([two.leads(), three.leads()]) == [False, True]


rates = st.floats(0.9, 1.1)
"""Clocks that gain or lose up to an eighth of a second each second; crystals are a thousand times better."""
outages = st.lists(st.tuples(st.integers(0, 1), st.floats(0.5, 30.0), st.booleans()), max_size=8)


@settings(max_examples=25, deadline=None)
@given(st.tuples(rates, rates), st.floats(-1e6, 1e6), outages, st.floats(0.0, 3.0))
async def test_however_clocks_and_connections_behave_two_never_lead(
    clock_rates: tuple[float, float], ahead_s: float, plan: list[tuple[int, float, bool]], answer_s: float
) -> None:
    async with contest() as here:
        for index, rate in enumerate(clock_rates):
            here.join(f"c{index}", SkewedTime(here.time, rate, ahead_s * index)).api.answer_s = answer_s / 4
        for which, seconds, cut in plan:
            here.controllers[which].api.cut = cut
            await here.pass_while_at_most_one_leads(seconds)
        for each in here.controllers:
            each.api.cut = False
        await here.pass_while_at_most_one_leads(60.0)
        assert sum(each.leads() for each in here.controllers) == 1, "once all can reach the server, one leads"
