"""Jobs of version 0.1.0: what is put into them lies where that version finds it, and is as safe as in any job."""

import json
from collections.abc import Iterable
from dataclasses import replace

import pytest

from flstore_core import layout
from flstore_core.ids import AGGREGATE, ClientId, Home
from flstore_core.records import Updates
from tests.gateway.rounds.world import JOB, World, body, world

OLD = replace(JOB, generation="", updates_stated=False)
HOME = OLD.home
ADA = ClientId("ada")


@pytest.fixture
def gateway() -> World:
    return world(OLD)


def files(gateway: World, number: int = 0, home: Home = HOME) -> list[str]:
    """Return the names of all files of tensors in a round, without those of statistics."""
    prefix = layout.round_prefix(home, number)
    keys: Iterable[str] = gateway.store.contents
    names = [key.removeprefix(prefix) for key in keys if key.startswith(prefix) and key.endswith(".safetensors")]
    return sorted(name for name in names if name != "statistics.safetensors")


def test_the_first_upload_to_a_place_gets_the_file_of_version_1(gateway: World) -> None:
    assert gateway.put(0, "ada", 1, job=OLD).member.upload == ""
    assert gateway.put(0, AGGREGATE, 2, job=OLD).member.upload == ""
    assert files(gateway) == ["aggregate.safetensors", "clients/ada.safetensors"]
    assert bytes(gateway.store.contents[layout.tensors(HOME, 0, ADA)]) == body(1)


def test_in_other_jobs_no_file_is_without_a_name() -> None:
    gateway = world(JOB)
    assert gateway.put(0, "ada", 1).member.upload
    assert all("~" in name for name in files(gateway, home=JOB.home))


def test_a_file_that_somebody_else_has_begun_is_left_alone(gateway: World) -> None:
    gateway.store.put(layout.tensors(HOME, 0, ADA), b"of a gateway that was cut off, or is slow")
    member = gateway.put(0, "ada", 1, job=OLD).member
    assert member.upload
    assert bytes(gateway.store.contents[layout.tensors(HOME, 0, ADA, member.upload)]) == body(1)
    gateway.commit(0, OLD)
    assert files(gateway) == [f"clients/ada~{member.upload}.safetensors"]


def test_what_takes_another_ones_place_has_a_name(gateway: World) -> None:
    gateway.put(0, "ada", 1, job=OLD)
    second = gateway.put(0, "ada", 2, job=OLD, replace=True).member
    assert second.upload
    gateway.withdrawals.drop_update(OLD, 0, ADA)
    third = gateway.put(0, "ada", 3, job=OLD).member
    assert third.upload not in ("", second.upload)
    assert files(gateway) == [f"clients/ada~{third.upload}.safetensors"]


def test_a_late_deletion_of_the_file_without_a_name_reaches_no_later_upload(gateway: World) -> None:
    gateway.put(0, "ada", 1, job=OLD)
    gateway.erase("ada")
    again = gateway.put(0, "ada", 2, job=OLD).member
    gateway.store.delete(layout.tensors(HOME, 0, ADA))  # a store may carry out a deletion twice
    assert gateway.commit(0, OLD).find(ADA) == again
    assert files(gateway) == [f"clients/ada~{again.upload}.safetensors"]


def test_an_opening_has_the_two_fields_that_version_1_knows(gateway: World) -> None:
    gateway.put(0, "ada", 1, job=OLD)
    gateway.put(0, AGGREGATE, 2, job=OLD)
    gateway.commit(0, OLD)
    record = json.loads(gateway.store.contents[layout.round_record(HOME, 0)])
    gateway.store.put(layout.round_record(HOME, 0), json.dumps({**record, "updates": Updates.DELTA.value}).encode())
    gateway.rounds.records.forget(HOME)
    gateway.put(1, "ada", 3, job=OLD)
    assert json.loads(gateway.store.contents[layout.opening(HOME, 1)]) == {"base": 0, "closing": False}
