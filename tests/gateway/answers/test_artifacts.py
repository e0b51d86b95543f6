"""Models that workloads made, as the safetensors library reads them back."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load

from flstore_core import layout
from flstore_core.errors import InvalidId, NotFound
from flstore_core.generations import Generations
from flstore_core.ids import AGGREGATE, ClientId, JobId
from flstore_core.records import Job
from flstore_core.schema import Schema
from flstore_core.shard.protocol import MemberRef
from services.gateway.answers import artifacts
from tests.fakes.store import MemoryStore
from tests.gateway.world import HOME, NAME, TENSORS, body

JOB = Job(NAME, Schema.from_json(TENSORS), generation="g1")
VECTOR = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.25], np.float32)


def job_stored(job: Job = JOB) -> MemoryStore:
    """Return a store that has the job."""
    store = MemoryStore()
    Generations(store).begin(job)
    return store


def donor(store: MemoryStore, seed: int) -> MemberRef:
    """Store the update of a seed and return where it lies."""
    content = body(seed)
    store.put(layout.tensors(HOME, 0, ClientId("c")), content)
    return MemberRef(0, ClientId("c"), "hash", 8 + int.from_bytes(content[:8], "little"))


def test_an_artifact_has_the_vector_and_the_donor_s_integers() -> None:
    store = job_stored()
    link = artifacts.writer(store, JOB, donor(store, 41))([VECTOR], {"workload": "aggregate"})
    content = store.contents[layout.artifact(HOME, link.sha256[:32])]
    tensors = load(content)
    np.testing.assert_array_equal(tensors["bias"], VECTOR[:2])
    np.testing.assert_array_equal(tensors["weight"], VECTOR[2:].reshape(2, 2))
    assert tensors["steps"] == 41
    assert link.sha256 == hashlib.sha256(content).hexdigest()
    assert link.href == f"/v1/jobs/job/artifacts/{link.sha256[:32]}"
    assert (link.nbytes, link.parameters) == (len(content), 6)


def test_a_donor_that_is_a_difference_is_added_to_its_base() -> None:
    store = job_stored()
    content, key = body(41), layout.tensors(HOME, 0, AGGREGATE)
    store.put(key, content)
    base = MemberRef(0, AGGREGATE, "hash", 8 + int.from_bytes(content[:8], "little"))
    link = artifacts.writer(store, JOB, donor(store, -2), base)([VECTOR], {})
    tensors = load(store.contents[layout.artifact(HOME, link.sha256[:32])])
    assert tensors["steps"] == 39
    np.testing.assert_array_equal(tensors["bias"], VECTOR[:2], err_msg="the vector is a model already")


def test_without_a_donor_integers_are_zero() -> None:
    store = job_stored()
    link = artifacts.writer(store, JOB, None)([VECTOR], {})
    assert load(store.contents[layout.artifact(HOME, link.sha256[:32])])["steps"] == 0


def test_metadata_comes_back_with_unknown_artifacts_named() -> None:
    store = job_stored()
    link = artifacts.writer(store, JOB, None)([VECTOR], {"workload": "aggregate", "round": "3"})
    assert artifacts.read_metadata(store, JOB, link.sha256[:32]) == {"workload": "aggregate", "round": "3"}
    with pytest.raises(NotFound):
        artifacts.read_metadata(store, JOB, "0" * 32)
    with pytest.raises(InvalidId, match="artifact name"):
        artifacts.read_metadata(store, JOB, "../x")


def test_a_file_without_metadata_has_none() -> None:
    store = job_stored()
    store.put(layout.artifact(HOME, "x"), body(1))
    assert artifacts.read_metadata(store, JOB, "x") == {}


def test_the_same_model_has_the_same_name() -> None:
    store = job_stored()
    write = artifacts.writer(store, JOB, None)
    assert write([VECTOR], {"a": "1"}) == write([VECTOR.copy()], {"a": "1"})
    assert write([VECTOR], {"a": "2"}) != write([VECTOR], {"a": "1"})


def test_a_vector_of_another_length_is_a_defect() -> None:
    with pytest.raises(ValueError, match="the vector has 5 elements; the schema has 6"):
        artifacts.writer(job_stored(), JOB, None)([VECTOR[:5]], {})


HALVES = Job(
    JobId("halves"),
    Schema.from_json(
        [
            {"name": "a", "dtype": "F16", "shape": [3]},
            {"name": "b", "dtype": "BF16", "shape": [5]},
            {"name": "c", "dtype": "F64", "shape": [2, 2]},
            {"name": "d", "dtype": "F32", "shape": []},
            {"name": "e", "dtype": "U8", "shape": [7]},
        ]
    ),
)


@given(st.lists(st.integers(0, 13), max_size=4))
def test_an_artifact_does_not_depend_on_how_the_vector_is_cut(cuts: list[int]) -> None:
    """Whole numbers up to 12 are exact in every floating-point type."""
    vector = np.arange(13, dtype=np.float32)
    pieces = np.split(vector, sorted(cuts))
    one, other = job_stored(HALVES), job_stored(HALVES)
    assert artifacts.writer(one, HALVES, None)(pieces, {}) == artifacts.writer(other, HALVES, None)([vector], {})
    (content,) = (content for key, content in one.contents.items() if "/artifacts/" in key)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    data = content[8 + int.from_bytes(content[:8], "little") :]
    types = {"F64": np.float64, "F32": np.float32, "F16": np.float16}
    flat = dict[str, list[float]]()
    for name in ("a", "c", "d"):
        start, stop = header[name]["data_offsets"]
        flat[name] = np.frombuffer(data[start:stop], types[header[name]["dtype"]]).tolist()
    start, stop = header["b"]["data_offsets"]
    bits = np.frombuffer(data[start:stop], np.uint16).astype(np.uint32) << 16
    flat["b"] = bits.view(np.float32).tolist()
    assert sorted(value for values in flat.values() for value in values) == vector.tolist()
    assert all(values == sorted(values) for values in flat.values())
