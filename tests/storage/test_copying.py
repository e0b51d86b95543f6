"""A copy of a store has every byte of it, may be stopped anywhere, and overwrites nothing of anybody else's."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from flstore_core import layout
from flstore_core.errors import StoreUnavailable, UnsuitableStore
from flstore_core.ids import ClientId, Home, JobId
from flstore_core.storage import Body, ObjectInfo, ObjectStore, open_store
from flstore_core.storage.copying import Copied, copy_store
from tests.fakes.store import Call, MemoryStore
from tests.servers import S3Server

JOB = JobId("digits")
HOME: Home = layout.home(JOB, "g1")
CLIENT = ClientId("a")
TENSORS = layout.tensors(HOME, 1, CLIENT, "u1")
MEMBER = layout.member(HOME, 1, CLIENT)
ROUND = layout.round_record(HOME, 1)
CONTENTS = {
    layout.job(JOB): b'{"job": "digits"}',
    ROUND: b'{"round": 1}',
    MEMBER: b'{"upload": "u1"}',
    TENSORS: bytes(range(256)) * 20_000,
    layout.audit(JOB, "b-1"): b"{}",
    layout.dataset(HOME, "held-out", "u2"): b"",
}


@pytest.fixture
def source() -> MemoryStore:
    return _filled(MemoryStore())


@pytest.fixture(params=["directory", "s3"])
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "directory":
        opened = open_store(str(tmp_path / "store"), {})
    else:
        server: S3Server = request.getfixturevalue("s3_server")
        opened = open_store(f"s3://copying/{uuid4().hex}", server.env)
    with closing(opened):
        yield opened


def test_everything_arrives_and_comes_back_and_a_second_run_sends_nothing(real: ObjectStore) -> None:
    sizes: list[tuple[int, int]] = []
    total = sum(map(len, CONTENTS.values()))
    first = copy_store(_filled(MemoryStore()), real, progress=lambda *sofar: sizes.append(sofar))
    assert (first.created, first.present, first.nbytes) == (len(CONTENTS), 0, total)
    assert sizes[-1] == (total, total)
    second = copy_store(_filled(MemoryStore()), real)
    assert (second.created, second.present, second.nbytes) == (0, len(CONTENTS), 0)
    back = MemoryStore()
    copy_store(real, back)
    assert {key: back.contents[key] for key in CONTENTS} == CONTENTS == back.contents


def test_what_services_make_anew_stays_behind(source: MemoryStore) -> None:
    for key in (layout.TABLE, layout.working_set("shard-0"), layout.probe("x")):
        source.put(key, b"{}")
    target = MemoryStore()
    copied = copy_store(source, target)
    assert (target.contents, copied.only_in_target) == (CONTENTS, ())


def test_a_record_is_written_after_what_it_names(source: MemoryStore) -> None:
    target, order = MemoryStore(), []
    target.before = lambda call: order.append(call.key) if call.method == "put" else None
    copy_store(source, target)
    written = [key for key in order if key in CONTENTS]
    assert written.index(TENSORS) < written.index(MEMBER) < written.index(ROUND) < written.index(layout.job(JOB))


@pytest.mark.parametrize("stopped_at", range(1, len(CONTENTS) + 1))
def test_a_run_that_was_stopped_is_gone_on_with(source: MemoryStore, stopped_at: int) -> None:
    target, writes = MemoryStore(), 0

    def stop(call: Call) -> None:
        nonlocal writes
        writes += call.method == "put" and call.key in CONTENTS
        if writes >= stopped_at:
            raise StoreUnavailable("stopped")

    target.before = stop
    with pytest.raises(StoreUnavailable):
        copy_store(source, target)
    before = set(target.contents)
    target.before = lambda call: None
    copied = copy_store(source, target)
    assert target.contents == CONTENTS
    assert (copied.created, copied.present) == (len(CONTENTS) - len(before), len(before))


def test_what_differs_is_left_and_named_and_replaced_only_if_that_was_said(source: MemoryStore) -> None:
    target = _filled(MemoryStore())
    target.put(ROUND, b'{"round": 1, "newer": true}')
    target.put("jobs/other/job.json", b"{}")
    copied = copy_store(source, target)
    assert (copied.differing, copied.only_in_target) == ((ROUND,), ("jobs/other/job.json",))
    assert target.contents[ROUND] == b'{"round": 1, "newer": true}'
    assert copy_store(source, target, replace=True).replaced == 1
    assert target.contents == {**CONTENTS, "jobs/other/job.json": b"{}"}


def test_what_somebody_writes_meanwhile_is_not_replaced(source: MemoryStore) -> None:
    target = _filled(MemoryStore())
    target.put(ROUND, b"old")

    def overtake(call: Call) -> None:
        if call == Call("put", ROUND):
            target.before = lambda _: None
            target.put(ROUND, b"theirs")

    target.before = overtake
    assert copy_store(source, target, replace=True).differing == (ROUND,)
    assert target.contents[ROUND] == b"theirs"


@pytest.mark.parametrize(("theirs", "expected"), [(CONTENTS[MEMBER], ()), (b"theirs", (MEMBER,))])
def test_what_appears_in_the_target_after_the_listing_is_compared(
    source: MemoryStore, theirs: bytes, expected: tuple[str, ...]
) -> None:
    target = MemoryStore()

    def overtake(call: Call) -> None:
        if call == Call("put", MEMBER):
            target.before = lambda _: None
            target.put(MEMBER, theirs)

    target.before = overtake
    assert copy_store(source, target).differing == expected


def test_what_is_deleted_from_the_source_meanwhile_is_no_error(source: MemoryStore) -> None:
    def delete(call: Call) -> None:
        if call == Call("get", MEMBER):
            source.before = lambda _: None
            source.delete(MEMBER)

    source.before = delete
    copied = copy_store(source, MemoryStore())
    assert (copied.gone, copied.created) == (1, len(CONTENTS) - 1)


def test_bytes_that_come_back_changed_end_the_copy(source: MemoryStore) -> None:
    target = MemoryStore()
    target.after = lambda call: _damage(target) if call == Call("put", TENSORS) else None
    with pytest.raises(StoreUnavailable, match=r"u1\.safetensors' came back from the target with another SHA-256"):
        copy_store(source, target)


def test_a_target_that_ignores_conditions_is_refused(source: MemoryStore) -> None:
    class Careless(MemoryStore):
        def put(self, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
            return super().put(key, body)

    with pytest.raises(UnsuitableStore):
        copy_store(source, Careless())


def test_a_copy_s_answer_is_json() -> None:
    answer = Copied(1, 2, 3, 4, 5, ("a",), ("b",)).to_json()
    assert answer == {
        "created": 1,
        "replaced": 2,
        "present": 3,
        "gone": 4,
        "nbytes": 5,
        "differing": ("a",),
        "only_in_target": ("b",),
    }


def _filled(store: MemoryStore) -> MemoryStore:
    for key, body in CONTENTS.items():
        store.put(key, body)
    return store


def _damage(store: MemoryStore) -> None:
    store.after = lambda _: None
    store.put(TENSORS, b"other")
