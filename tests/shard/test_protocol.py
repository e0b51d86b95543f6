"""The wire: what one side writes is what the other reads, and the paths and headers stay what they are."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidId, InvalidParameters
from flstore_core.ids import ClientId, JobId
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key
from flstore_core.records import Member
from flstore_core.schema import Schema, TensorSpec
from flstore_core.shard import protocol
from flstore_core.shard.protocol import (
    Answer,
    AssignmentMessage,
    CommitMessage,
    MapRequest,
    MemberRef,
    SliceRef,
    StatisticsRequest,
    UploadMessage,
    Work,
    parse_key,
)

names = st.from_regex(r"[a-z][a-z0-9.-]{0,8}", fullmatch=True)
jobs = names.map(JobId)
clients = names.map(ClientId)
digests = st.text("0123456789abcdef", min_size=8, max_size=8)
numbers = st.integers(0, 10**8 - 1)
parts = st.integers(1, 8).flatmap(lambda n: st.builds(SliceRef, jobs, digests, st.just(n), st.integers(0, n - 1)))
members = st.builds(MemberRef, numbers, clients, digests, st.integers(8, 2**40), st.floats(0, 1e6), st.booleans())
bases = st.none() | members
lists = st.lists(members, max_size=4).map(tuple)
weights = st.lists(st.lists(st.floats(-1, 1), max_size=3).map(tuple), max_size=3).map(tuple)

MESSAGES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "upload": (UploadMessage, st.builds(UploadMessage, parts, members, bases)),
    "commit": (CommitMessage, st.builds(CommitMessage, parts, numbers)),
    "assignment": (
        AssignmentMessage,
        st.builds(
            AssignmentMessage, st.integers(0, 99), st.dictionaries(jobs, st.lists(st.integers(0, 9)), max_size=3)
        ),
    ),
    "statistics": (StatisticsRequest, st.builds(StatisticsRequest, parts, lists, bases)),
    "map": (
        MapRequest,
        st.builds(
            MapRequest,
            parts,
            names,
            st.sampled_from(Pattern),
            st.dictionaries(names, numbers),
            lists,
            bases,
            weights,
            st.dictionaries(numbers, members, max_size=3),
            st.none() | numbers,
        ),
    ),
}

works = st.builds(
    Work,
    *[st.integers(0, 10**6)] * 2,
    *[st.integers(0, 2**50)] * 2,
    *[st.floats(0, 1e3)] * 2,
)


@pytest.mark.parametrize("kind", MESSAGES)
@given(data=st.data())
def test_a_message_is_read_as_it_was_written(kind: str, data: st.DataObject) -> None:
    message_class, strategy = MESSAGES[kind]
    message = data.draw(strategy)
    assert message_class.from_json(json.loads(json.dumps(message.to_json()))) == message


def test_the_wire_is_the_one_that_deployed_shards_speak() -> None:
    paths = {
        name: value for name, value in vars(protocol).items() if isinstance(value, str) and value.startswith("/v1")
    }
    assert paths == {
        "SLICES": "/v1/slices",
        "STATISTICS": "/v1/statistics",
        "MAP": "/v1/map",
        "COMMITS": "/v1/commits",
        "ASSIGNMENT": "/v1/assignment",
        "JOB": "/v1/jobs/{job}",
        "CLIENT": "/v1/jobs/{job}/clients/{client}",
        "INVENTORY": "/v1/inventory",
        "EXPLAIN": "/v1/cache/explain",
    }
    assert (protocol.MESSAGE_HEADER, protocol.WORK_HEADER) == ("X-FLStore-Message", "X-FLStore-Work")
    assert protocol.WINDOW_HEADER == "X-FLStore-Window"


def test_an_upload_message_looks_like_this() -> None:
    member = MemberRef(3, ClientId("c"), "ab", 120, 2.0)
    assert UploadMessage(SliceRef(JobId("j"), "d1", 2, 1), member, None).to_json() == {
        "part": {"job": "j", "digest": "d1", "slices": 2, "index": 1},
        "member": {
            "round": 3,
            "client": "c",
            "sha256": "ab",
            "data_offset": 120,
            "num_examples": 2.0,
        },
        "base": None,
    }


@given(works)
def test_work_travels_in_a_header(work: Work) -> None:
    header = work.to_header()
    assert header.isascii()
    assert "\n" not in header
    assert Work.from_header(header) == work


@given(works, works, works)
def test_work_adds_up_in_any_grouping(one: Work, two: Work, three: Work) -> None:
    left, right = (one + two) + three, one + (two + three)
    for name, value in left.to_json().items():
        assert value == pytest.approx(right.to_json()[name])
    assert one + Work() == one


@given(parts, st.integers(0, 40))
def test_the_slices_of_one_cut_tile_the_vector(part: SliceRef, size: int) -> None:
    schema = Schema.of([TensorSpec("w", "F32", (size,))])
    bounds = [SliceRef(part.job, part.digest, part.slices, index).bounds(schema) for index in range(part.slices)]
    assert [start for start, _ in bounds] == [0, *(stop for _, stop in bounds[:-1])]
    assert bounds[-1][1] == size


@pytest.mark.parametrize(("slices", "index"), [(2, 2), (1, -1), (0, 0), (3, 99)])
def test_a_slice_that_cannot_be_is_refused(slices: int, index: int) -> None:
    with pytest.raises(InvalidParameters, match=f"slice {index} of {slices} does not exist"):
        SliceRef(JobId("j"), "d", slices, index)


def test_a_member_is_told_by_its_record() -> None:
    record = Member(ClientId("c"), "ab", 1000, 120, {"num_examples": 7})
    assert MemberRef.of(4, record) == MemberRef(4, ClientId("c"), "ab", 120, 7.0)


@given(parts, members)
def test_a_member_is_cached_under_its_round_client_and_slice(part: SliceRef, member: MemberRef) -> None:
    assert member.key(part) == Key(part.job, member.round, member.client, part.index)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("j/3/c", Key("j", 3, "c", 0)),
        ("j/3/c/2", Key("j", 3, "c", 2)),
        ("j/003/aggregate/0", Key("j", 3, "aggregate", 0)),
        ("j/0/artifact:a1", Key("j", 0, "artifact:a1", 0)),
    ],
)
def test_a_key_is_read(text: str, key: Key) -> None:
    assert parse_key(text) == key


@pytest.mark.parametrize(
    "text",
    [
        *["", "j", "j/3", "j/x/c", "j/-1/c", "j/3/c/x", "j/3/c/1/2", "//", "j/1.5/c", "j/3/c/"],
        *[f"j/{'9' * 5000}/c", f"j/3/c/{'9' * 5000}", "j/100000000/c"],
    ],
)
def test_a_key_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameters, match="is not job/round/client or job/round/client/slice"):
        parse_key(text)


def test_a_key_of_an_impossible_job_is_refused() -> None:
    with pytest.raises(InvalidId, match="job name"):
        parse_key("../3/c")


def test_a_long_key_is_cut_short_in_the_message() -> None:
    with pytest.raises(InvalidParameters) as caught:
        parse_key("x" * 10_000)
    assert len(caught.value.detail) < 200


def test_an_answers_body_is_sent_in_parts() -> None:
    assert Answer(b"abc", Work()).parts == [memoryview(b"abc")]
    parts_of_it = [memoryview(b"a"), memoryview(b"bc")]
    assert Answer(parts_of_it, Work()).parts is parts_of_it
