"""What a viewer can do on a page: sort and turn tables, fill in forms, follow and cancel operations, erase."""

from dataclasses import replace
from typing import Any

import pytest
from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement
from nicegui.testing.user import User
from nicegui.testing.user_interaction import UserInteraction

from services.console import downloads
from services.console.parts import tables
from services.gateway.answers.operation_records import CANCELLED, FAILED, RUNNING, Operation, OperationRecords
from tests.console import training
from tests.console.browsing import sees
from tests.gateway.world import World, world


@pytest.fixture
def gateway() -> World:
    return world()


def fill(user: User, name: str, value: Any, event: str = "input") -> None:
    """Put a value into the field with this id."""
    fields = {each for each in user.find(kind=ui.element).elements if each.props.get("id") == name}
    assert fields, name
    UserInteraction(user, fields, None).trigger(event, value)


def cells(user: User, first: str) -> list[str]:
    """Return the texts of the column whose texts begin like this, from above."""
    texts = [each for each in user.find(kind=TextElement).elements if each.text.startswith(first)]
    return [each.text for each in sorted(texts, key=lambda each: each.id)]


async def test_a_table_is_sorted_by_the_column_that_is_pressed(user: User) -> None:
    await user.open("/ask")
    assert user.client
    with user.client:
        tables.table(["who", "how many"], [["#b", 2], ["#c", None], ["#a", 10]], label="counts")
    assert cells(user, "#") == ["#b", "#c", "#a"]
    user.find("how many").click()
    assert cells(user, "#") == ["#a", "#b", "#c"]
    user.find("how many").click()
    assert cells(user, "#") == ["#b", "#a", "#c"]  # what has no number stays last
    user.find("who").click()
    assert cells(user, "#") == ["#a", "#b", "#c"]


async def test_a_long_table_has_pages(user: User) -> None:
    await user.open("/ask")
    assert user.client
    rows = [[f"#{number}", tables.Figure(number, f"{number} B"), tables.Link("", "/")] for number in range(5)]
    with user.client:
        tables.table(["who", "size", ""], rows, label="sizes", page=2)
    assert cells(user, "#") == ["#0", "#1"]
    user.find("Next").click()
    await sees(user, "3 to 4 of 5")
    user.find("Next").click()
    assert cells(user, "#") == ["#4"]
    user.find("Previous").click()
    assert cells(user, "#") == ["#2", "#3"]
    user.find("size").click()
    assert cells(user, "#") == ["#4", "#3"]


async def test_an_erasure_has_a_receipt(gateway: World, user: User) -> None:
    training.train(gateway)
    await user.open("/jobs/job/clients/c3")
    user.find("Erase …").click()
    fill(user, "client-name", "c3")
    user.find("Erase for good").click()
    await sees(user, "c3 was erased from rounds 0-2.")
    await sees(user, "What remains")


async def test_what_is_filled_in_is_in_the_lines_and_in_the_question(gateway: World, user: User) -> None:
    training.train(gateway)
    await user.open("/ask?job=job&workload=malicious-filter")
    fill(user, "round", "1")
    fill(user, "method", "flame", "change")
    await sees(user, "flstore run job malicious-filter -p round=1 -p 'method=\"flame\"'")
    fill(user, "in-background", True, "change")
    user.find("Ask the question").click()
    await sees(user, "What it took")


def operation_of(gateway: World, **values: Any) -> Operation:
    """Return an operation that somebody works on."""
    now = gateway.time.now()
    job = gateway.job
    running = Operation("op1", job.id, "clustering", {"round": 1}, RUNNING, now, now, generation=job.generation)
    return replace(running, **values)


async def test_an_operation_is_followed_until_it_ends(gateway: World, user: User) -> None:
    training.train(gateway)
    records = OperationRecords(gateway.store)
    version = records.create(operation_of(gateway, progress=0.5))
    await user.open("/ask?job=job&workload=clustering&operation=op1")
    await sees(user, "The operation runs: 50 %.")
    user.find("Cancel").click()
    records.replace(operation_of(gateway, state=CANCELLED), version)
    await sees(user, "The operation was cancelled.")


async def test_an_operation_that_failed_says_why(gateway: World, user: User) -> None:
    training.train(gateway)
    problem = {"status": 422, "code": "not-enough-data", "detail": "too few"}
    OperationRecords(gateway.store).create(operation_of(gateway, state=FAILED, problem=problem))
    await user.open("/ask?job=job&workload=clustering&operation=op1")
    await sees(user, "too few")


async def test_a_file_of_many_parts_comes_whole(gateway: World, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    training.train(gateway, 1)
    whole = (await user.http_client.get("/jobs/job/rounds/0/clients/c1/file")).content
    monkeypatch.setattr(downloads, "PART", 50)
    assert (await user.http_client.get("/jobs/job/rounds/0/clients/c1/file")).content == whole
