"""Records: they come back from the JSON that they were stored as, and refuse what cannot be."""

import hashlib
import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters
from flstore_core.ids import AGGREGATE, ClientId, JobId
from flstore_core.records import MAX_WEIGHT, Job, Member, Round, StatisticsMode, Updates, to_bytes, weight_in
from flstore_core.schema import Schema, TensorSpec

SCHEMA = Schema.of([TensorSpec("w", "F32", (4,))])

texts = st.text(st.characters(codec="utf-8"), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
metrics = st.dictionaries(texts, values, max_size=3)
clients = st.from_regex(r"[a-z][a-z0-9]{0,6}", fullmatch=True).map(ClientId)
seconds = st.floats(0, 2e9)


def members(client: st.SearchStrategy[ClientId] = clients) -> st.SearchStrategy[Member]:
    digest = st.binary(max_size=3).map(lambda body: hashlib.sha256(body).hexdigest())
    sizes = st.integers(0, 2**40)
    weights = st.none() | st.floats(0, 1e14)
    return st.builds(Member, client, digest, sizes, sizes, metrics, seconds, keyed_weight=weights)


rounds = st.builds(
    Round,
    st.integers(0, 10**8 - 1),
    st.none() | st.integers(0, 100),
    st.lists(members(), max_size=3).map(tuple),
    st.none() | members(st.just(AGGREGATE)),
    metrics,
    metrics,
    st.none() | seconds,
)
jobs = st.builds(
    Job,
    clients.map(lambda name: JobId(str(name))),
    st.just(SCHEMA),
    st.sampled_from(StatisticsMode),
    st.integers(1, 10_000),
    st.integers(1, 1_000),
    st.integers(1, 8),
    st.none() | st.integers(1, 1_024),
    seconds,
    weight_key=st.none() | texts.filter(bool),
)


def stored(value: Any) -> Any:
    return json.loads(to_bytes(value))


@given(members())
def test_a_member_comes_back_from_the_store(member: Member) -> None:
    assert Member.from_json(stored(member.to_json())) == member


@given(rounds)
def test_a_round_comes_back_from_the_store_with_its_digest(record: Round) -> None:
    back = Round.from_json(stored(record.to_json()))
    assert back == record
    assert back.digest == record.digest
    assert back.committed == (record.committed_at is not None)


@given(jobs)
def test_a_job_comes_back_from_the_store(job: Job) -> None:
    back = Job.from_json(stored(job.to_json()))
    assert back == job
    assert back.created_at == job.created_at


@given(rounds, st.sampled_from(["number", "metrics", "hyperparameters", "committed_at", "members"]))
def test_the_digest_tells_rounds_apart_by_all_they_hold(record: Round, field: str) -> None:
    member = Member(ClientId("new"), "0" * 64, 1, 1)
    other = {
        "number": record.number + 1,
        "metrics": {**record.metrics, "new": 1},
        "hyperparameters": {**record.hyperparameters, "new": 1},
        "committed_at": (record.committed_at or 0.0) + 1.0,
        "members": (*record.members, member),
    }
    changes: dict[str, Any] = {field: other[field]}
    assert replace(record, **changes).digest != record.digest


def test_a_job_of_an_older_version_has_no_time_of_creation() -> None:
    data = Job(JobId("j"), SCHEMA, created_at=7.0).to_json()
    del data["created_at"]
    assert Job.from_json(data).created_at == 0.0


def test_updates_of_a_job_of_an_older_version_are_weights() -> None:
    data = Job(JobId("j"), SCHEMA, updates=Updates.DELTA).to_json()
    assert Job.from_json(data).updates is Updates.DELTA
    del data["updates"]
    assert Job.from_json(data).updates is Updates.WEIGHTS


def test_the_time_of_creation_makes_no_other_job() -> None:
    assert Job(JobId("j"), SCHEMA, created_at=1.0) == Job(JobId("j"), SCHEMA, created_at=2.0)


def test_records_of_a_newer_version_may_hold_more() -> None:
    member = Member(ClientId("c"), "0" * 64, 10, 8)
    assert Member.from_json({**member.to_json(), "compression": "zstd"}) == member


@pytest.mark.parametrize(
    ("name", "value", "most"),
    [
        ("clients_per_round", 0, 10_000),
        ("clients_per_round", 10_001, 10_000),
        ("hot_rounds", 0, 1_000),
        ("hot_rounds", 1_001, 1_000),
        ("replicas", 0, 8),
        ("replicas", 9, 8),
        ("slices", 0, 1_024),
        ("slices", 1_025, 1_024),
    ],
)
def test_a_job_out_of_bounds_is_refused(name: str, value: int, most: int) -> None:
    changes: dict[str, Any] = {name: value}
    with pytest.raises(InvalidParameters, match=f"{name} is {value}; use 1 to {most}"):
        Job(JobId("j"), SCHEMA, **changes)


def test_a_job_without_floating_point_parameters_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="no floating-point parameters"):
        Job(JobId("j"), Schema.of([TensorSpec("n", "I64", (3,))]))


def test_examples_weigh_a_client_and_one_stands_for_none() -> None:
    member = Member(ClientId("c"), "0" * 64, 10, 8, {"num_examples": 32})
    assert member.num_examples == 32.0
    assert replace(member, metrics={}).num_examples == 1.0
    assert replace(member, metrics={"num-examples": 99}).num_examples == 99.0, "as Flower's messages say it"
    assert replace(member, metrics={"num_examples": 0}).num_examples == 0.0


def test_members_are_found_by_client() -> None:
    one, two = (Member(ClientId(name), "0" * 64, 1, 1) for name in ("a", "b"))
    record = Round(3, None, (one, two))
    assert record.by_client == {"a": one, "b": two}


@given(metrics)
def test_json_is_compact_and_says_the_same(data: dict[str, Any]) -> None:
    body = to_bytes(data)
    assert json.loads(body) == data
    assert body == json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"loss": {"train": v}}])
def test_numbers_that_json_lacks_are_refused(value: float, wrap: Any) -> None:
    with pytest.raises(InvalidParameters, match="NaN, infinities"):
        to_bytes(wrap(value))


def test_half_of_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="surrogate pair"):
        to_bytes({"name": "\ud800"})


def test_endless_nesting_is_refused() -> None:
    nested: list[Any] = []
    nested.append(nested)
    with pytest.raises(InvalidParameters, match="nesting"):
        to_bytes(nested)


def test_what_the_jobs_own_name_weighs_counts_first() -> None:
    member = Member(ClientId("c"), "0" * 64, 10, 8, {"num_examples": 32}, keyed_weight=0.0)
    assert (member.weight, member.num_examples) == (0.0, 0.0)
    assert Member.from_json(member.to_json()) == member


def test_a_member_whose_job_names_no_weight_is_stored_as_before() -> None:
    member = Member(ClientId("c"), "0" * 64, 10, 8, {"num_examples": 32})
    assert "weight" not in member.to_json()
    assert Member.from_json(member.to_json()).weight == 32.0


@pytest.mark.parametrize("value", ["99", None, [99], True, -1, float("nan"), float("inf"), 10**400], ids=repr)
def test_what_an_older_version_stored_and_is_no_weight_is_none(value: Any) -> None:
    member = Member(ClientId("c"), "0" * 64, 10, 8, {"num-examples": value})
    assert (member.weight, member.num_examples) == (None, 1.0)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.integers().map(lambda n: n * 10**300),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(), parts, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["num_examples", "num-examples", "samples"]), json_values), json_values)
def test_a_weight_is_a_finite_number_from_0_or_there_is_none(metrics: dict[str, Any], value: Any) -> None:
    weight = weight_in({"samples": value}, "samples")
    member = Member(ClientId("c"), "0" * 64, 10, 8, metrics, keyed_weight=weight)
    assert weight is None or 0 <= weight < MAX_WEIGHT
    assert 0 <= member.num_examples < MAX_WEIGHT
    assert weight is None or member.weight == weight
    assert (weight is not None) == (type(value) in (int, float) and 0 <= value < MAX_WEIGHT)


@pytest.mark.parametrize("key", ["", "x" * 257, 7, ["n"]])
def test_a_weight_key_names_a_metric(key: Any) -> None:
    with pytest.raises(InvalidParameters, match=r"weight_key is .*; name a metric, in 1 to 256 characters"):
        Job(JobId("j"), SCHEMA, weight_key=key)


def test_a_job_of_an_older_version_names_no_weight() -> None:
    data = Job(JobId("j"), SCHEMA, weight_key="samples").to_json()
    assert Job.from_json(data).weight_key == "samples"
    del data["weight_key"]
    assert Job.from_json(data).weight_key is None
