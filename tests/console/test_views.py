"""The views of a round, a client and a question, over a gateway in this process."""

import pytest
from nicegui.testing.user import User

from flstore_core.errors import Unavailable
from flstore_core.records import StatisticsMode
from tests.console import training
from tests.console.browsing import sees
from tests.gateway.world import World, world


@pytest.fixture
def gateway() -> World:
    return world()


async def test_a_round_accuses_its_attacker_in_words(gateway: World, user: User) -> None:
    training.train(gateway)
    await user.open("/jobs/job/rounds/2")
    await sees(user, "1 of 6 clients of round 2 looks malicious: c3.")
    await sees(user, "points the opposite way")
    await sees(user, "Stress")
    await sees(user, "Cluster 1")
    await sees(user, "Norms by layer")


async def test_a_committed_round_is_drawn_without_a_shard(gateway: World, user: User) -> None:
    training.train(gateway)
    gateway.shards.trouble = Unavailable("a shard was asked")
    await user.open("/jobs/job/rounds/2")
    await sees(user, "looks malicious: c3")
    await user.should_not_see("a shard was asked")


async def test_looking_at_an_open_round_wakes_no_shard(gateway: World, user: User) -> None:
    training.train(gateway, open_round=True)
    gateway.controller.states |= {"shard-0": "zero", "shard-1": "zero"}
    gateway.shards.trouble = Unavailable("a shard was asked")
    await user.open("/jobs/job/rounds/3")
    await sees(user, "The shards of this job are at zero.")
    await sees(user, "4 of 6 expected updates are here.")
    await user.should_not_see("a shard was asked")
    gateway.shards.trouble = None
    user.find("Wake them and ask").click()
    await sees(user, "None of 4 clients of round 3 looks malicious.")


async def test_an_open_round_is_asked_about_while_shards_are_awake(gateway: World, user: User) -> None:
    training.train(gateway, open_round=True)
    await user.open("/jobs/job/rounds/3")
    await sees(user, "None of 4 clients of round 3 looks malicious.")


async def test_a_round_of_one_client_has_no_pictures(gateway: World, user: User) -> None:
    gateway.create()
    gateway.fill(0, 1)
    gateway.commit(0)
    await user.open("/jobs/job/rounds/0")
    await sees(user, "Nobody was late")
    await user.should_not_see("Similarity")


async def test_a_job_without_statistics_says_so(gateway: World, user: User) -> None:
    gateway.create(statistics=StatisticsMode.OFF)
    gateway.fill(0, 3)
    gateway.commit(0)
    await user.open("/jobs/job/rounds/0")
    await sees(user, "Who is alike, who stands out")
    await sees(user, "statistics")


@pytest.mark.parametrize("path", ["rounds/77", "rounds/x", "rounds/-1", "clients/nobody"])
async def test_what_is_not_there_is_said_to_be_gone(gateway: World, user: User, path: str) -> None:
    training.train(gateway, 1)
    await user.open(f"/jobs/job/{path}")
    await sees(user, "This is not there (any more)")


async def test_a_client_has_its_reputation_and_its_rounds(gateway: World, user: User) -> None:
    training.train(gateway)
    await user.open("/jobs/job/clients/c3")
    await sees(user, "Its updates deserve some trust, on little evidence")
    await sees(user, "Its updates did not change in direction or length.")
    await sees(user, "Participations")


async def test_an_erasure_is_asked_for_twice_and_has_a_receipt(gateway: World, user: User) -> None:
    training.train(gateway)
    await user.open("/jobs/job/clients/c3")
    user.find("Erase …").click()
    await sees(user, "This cannot be undone.")
    user.find("Erase for good").click()
    await sees(user, "That is not its name; nothing was erased.")
    user.find("Keep the client").click()
    await sees(user, "Erase …")
    assert "c3" in gateway.state.rounds.catalog.read_index(gateway.job.id).participations


async def test_a_form_has_every_parameter_with_its_help(gateway: World, user: User) -> None:
    training.train(gateway)
    await user.open("/ask?job=job&workload=malicious-filter&round=1")
    await sees(user, "krum_threshold")
    await sees(user, "Share of a round's clients that Krum must withstand.")
    await sees(user, "flstore run job malicious-filter -p round=1")


async def test_a_question_is_answered_with_its_cost(gateway: World, user: User) -> None:
    training.train(gateway)
    await user.open("/ask?job=job&workload=malicious-filter&round=2")
    await user.should_not_see("What it took")
    user.find("Ask the question").click()
    await sees(user, "1 of 6 clients looks malicious: c3")
    await sees(user, "What it took")
    await sees(user, "object store")


async def test_what_does_not_fit_is_said_before_anything_is_asked(gateway: World, user: User) -> None:
    training.train(gateway, 1)
    await user.open("/ask?job=job&workload=malicious-filter&round=many")
    await sees(user, "round: 'many' is no whole number")
    user.find("Ask the question").click()
    await sees(user, "Parameters do not fit")


async def test_a_refused_question_says_what_would_be_right(gateway: World, user: User) -> None:
    training.train(gateway, 1)
    await user.open("/ask?job=job&workload=drift&client=c33")
    user.find("Ask the question").click()
    await sees(user, "nearest: c3")


async def test_an_operation_that_has_ended_shows_its_answer(gateway: World, user: User) -> None:
    training.train(gateway)
    operation = gateway.state.operations.start(
        gateway.job.id, "clustering", {"round": 1}, None, caller="", read_only=False, generation=gateway.job.generation
    )
    await user.open(f"/ask?job=job&workload=clustering&operation={operation.id}")
    await sees(user, "What it took")


async def test_without_jobs_there_is_nothing_to_ask(user: User) -> None:
    await user.open("/ask")
    await sees(user, "There is no job to ask about")


async def test_an_unknown_workload_has_no_form(gateway: World, user: User) -> None:
    training.train(gateway, 1)
    await user.open("/ask?job=job&workload=clusterin")
    await sees(user, "nearest: clustering")


async def test_an_update_is_handed_on_as_a_file(gateway: World, user: User) -> None:
    training.train(gateway, 1)
    answer = await user.http_client.get("/jobs/job/rounds/0/clients/c1/file")
    stored = gateway.state.rounds.openings.read_model(gateway.job, 0, gateway.job.id and "c1")  # type: ignore[arg-type]
    assert (answer.status_code, answer.headers["etag"]) == (200, f'"{stored.sha256}"')
    assert len(answer.content) == stored.nbytes == int(answer.headers["content-length"])
    assert (await user.http_client.get("/jobs/job/rounds/0/clients/nobody/file")).status_code == 404
