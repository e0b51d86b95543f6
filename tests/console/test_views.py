"""The views of a round, a client and a question, over a gateway in this process."""

from collections.abc import AsyncIterator

import pytest
from nicegui.testing.user import User

from flstore_core.errors import Unavailable
from flstore_core.records import StatisticsMode
from services.gateway.app import create_app as create_gateway
from tests.console import training
from tests.console.browsing import browsing, to
from tests.gateway.world import World, world


@pytest.fixture
def gateway() -> World:
    return world()


@pytest.fixture
async def user(gateway: World) -> AsyncIterator[User]:
    async with browsing(to(create_gateway(gateway.state))) as browser:
        yield browser


async def test_a_round_accuses_its_attacker_in_words(gateway: World, user: User) -> None:
    training.train(gateway)
    await user.open("/jobs/job/rounds/2")
    await user.should_see("1 of 6 clients of round 2 looks malicious: c3.")
    await user.should_see("points the opposite way")
    await user.should_see("Stress")
    await user.should_see("Cluster 1")
    await user.should_see("Norms by layer")


async def test_a_committed_round_is_drawn_without_a_shard(gateway: World, user: User) -> None:
    training.train(gateway)
    gateway.shards.trouble = Unavailable("a shard was asked")
    await user.open("/jobs/job/rounds/2")
    await user.should_see("looks malicious: c3")
    await user.should_not_see("a shard was asked")


async def test_looking_at_an_open_round_wakes_no_shard(gateway: World, user: User) -> None:
    training.train(gateway, open_round=True)
    gateway.controller.states |= {"shard-0": "zero", "shard-1": "zero"}
    gateway.shards.trouble = Unavailable("a shard was asked")
    await user.open("/jobs/job/rounds/3")
    await user.should_see("The shards of this job are at zero.")
    await user.should_see("4 of 6 expected updates are here.")
    await user.should_not_see("a shard was asked")
    gateway.shards.trouble = None
    user.find("Wake them and ask").click()
    await user.should_see("None of 4 clients of round 3 looks malicious.")


async def test_an_open_round_is_asked_about_while_shards_are_awake(gateway: World, user: User) -> None:
    training.train(gateway, open_round=True)
    await user.open("/jobs/job/rounds/3")
    await user.should_see("None of 4 clients of round 3 looks malicious.")


async def test_a_round_of_one_client_has_no_pictures(gateway: World, user: User) -> None:
    gateway.create()
    gateway.fill(0, 1)
    gateway.commit(0)
    await user.open("/jobs/job/rounds/0")
    await user.should_see("Nobody was late")
    await user.should_not_see("Similarity")


async def test_a_job_without_statistics_says_so(gateway: World, user: User) -> None:
    gateway.create(statistics=StatisticsMode.OFF)
    gateway.fill(0, 3)
    gateway.commit(0)
    await user.open("/jobs/job/rounds/0")
    await user.should_see("Who is alike, who stands out")
    await user.should_see("statistics")


@pytest.mark.parametrize("path", ["rounds/77", "rounds/x", "rounds/-1", "clients/nobody"])
async def test_what_is_not_there_is_said_to_be_gone(gateway: World, user: User, path: str) -> None:
    training.train(gateway, 1)
    await user.open(f"/jobs/job/{path}")
    await user.should_see("This is not there (any more)")


async def test_a_client_has_its_reputation_and_its_rounds(gateway: World, user: User) -> None:
    training.train(gateway)
    await user.open("/jobs/job/clients/c3")
    await user.should_see("Its updates deserve some trust, on little evidence")
    await user.should_see("Its updates did not change in direction or length.")
    await user.should_see("Participations")


async def test_an_erasure_is_asked_for_twice_and_has_a_receipt(gateway: World, user: User) -> None:
    training.train(gateway)
    await user.open("/jobs/job/clients/c3")
    user.find("Erase …").click()
    await user.should_see("This cannot be undone.")
    user.find("Erase for good").click()
    await user.should_see("That is not its name; nothing was erased.")
    user.find("Keep the client").click()
    await user.should_see("Erase …")
    assert "c3" in gateway.state.rounds.catalog.read_index(gateway.job.id).participations


async def test_a_form_has_every_parameter_with_its_help(gateway: World, user: User) -> None:
    training.train(gateway)
    await user.open("/ask?job=job&workload=malicious-filter&round=1")
    await user.should_see("krum_threshold")
    await user.should_see("Share of a round's clients that Krum must withstand.")
    await user.should_see("flstore run job malicious-filter -p round=1")


async def test_a_question_is_answered_with_its_cost(gateway: World, user: User) -> None:
    training.train(gateway)
    await user.open("/ask?job=job&workload=malicious-filter&round=2")
    await user.should_not_see("What it took")
    user.find("Ask the question").click()
    await user.should_see("1 of 6 clients looks malicious: c3")
    await user.should_see("What it took")
    await user.should_see("object store")


async def test_what_does_not_fit_is_said_before_anything_is_asked(gateway: World, user: User) -> None:
    training.train(gateway, 1)
    await user.open("/ask?job=job&workload=malicious-filter&round=many")
    await user.should_see("round: 'many' is no whole number")
    user.find("Ask the question").click()
    await user.should_see("Parameters do not fit")


async def test_a_refused_question_says_what_would_be_right(gateway: World, user: User) -> None:
    training.train(gateway, 1)
    await user.open("/ask?job=job&workload=drift&client=c33")
    user.find("Ask the question").click()
    await user.should_see("nearest: c3")


async def test_an_operation_that_has_ended_shows_its_answer(gateway: World, user: User) -> None:
    training.train(gateway)
    operation = gateway.state.operations.start(
        gateway.job.id, "clustering", {"round": 1}, None, caller="", read_only=False, generation=gateway.job.generation
    )
    await user.open(f"/ask?job=job&workload=clustering&operation={operation.id}")
    await user.should_see("What it took")


async def test_without_jobs_there_is_nothing_to_ask(user: User) -> None:
    await user.open("/ask")
    await user.should_see("There is no job to ask about")


async def test_an_unknown_workload_has_no_form(gateway: World, user: User) -> None:
    training.train(gateway, 1)
    await user.open("/ask?job=job&workload=clusterin")
    await user.should_see("nearest: clustering")


async def test_an_update_is_handed_on_as_a_file(gateway: World, user: User) -> None:
    training.train(gateway, 1)
    answer = await user.http_client.get("/jobs/job/rounds/0/clients/c1/file")
    stored = gateway.state.rounds.openings.read_model(gateway.job, 0, gateway.job.id and "c1")  # type: ignore[arg-type]
    assert (answer.status_code, answer.headers["etag"]) == (200, f'"{stored.sha256}"')
    assert len(answer.content) == stored.nbytes == int(answer.headers["content-length"])
    assert (await user.http_client.get("/jobs/job/rounds/0/clients/nobody/file")).status_code == 404
