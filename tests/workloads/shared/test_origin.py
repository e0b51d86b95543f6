"""The origin of an artifact: what it holds, and that it survives the artifact's metadata."""

import numpy as np
import pytest

from flstore_core.ids import AGGREGATE, ClientId, JobId
from flstore_core.records import Job, Member, Round
from flstore_core.workloads import Context, RoundData, RoundParams, SliceMember
from flstore_core.workloads.shared.origin import Input, Origin, origin_of, sha256_of
from tests.workloads.rounds import Artifacts, schema_of

RECORD = Round(
    4, None, (Member(ClientId("a"), "aa", 0, 0), Member(ClientId("b"), "bb", 0, 0)), Member(AGGREGATE, "cc", 0, 0)
)


def context(*members: SliceMember) -> Context:
    return Context(Job(JobId("job"), schema_of(9)), (RoundData(RECORD),), Artifacts(), members)


def test_it_names_the_workload_its_parameters_and_the_models_with_their_hashes() -> None:
    members = (SliceMember(4, ClientId("b")), SliceMember(4, AGGREGATE), SliceMember(3, AGGREGATE))
    origin = origin_of("aggregate", context(*members), RoundParams(round=4, clients=["b"]))
    assert origin.workload == "aggregate"
    assert origin.params == {"round": 4, "clients": ["b"]}
    assert origin.inputs == (Input(4, "b", "bb"), Input(4, "aggregate", "cc"), Input(3, "aggregate", ""))


def test_it_survives_the_metadata_of_a_file_which_maps_text_to_text() -> None:
    origin = origin_of("norms", context(SliceMember(4, ClientId("a"))), RoundParams(round=4))
    metadata = origin.to_metadata()
    assert all(isinstance(value, str) for value in metadata.values())
    assert Origin.from_metadata(metadata) == origin
    assert Origin.from_metadata({**metadata, "group": "1"}) == origin


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({}, KeyError),
        ({"workload": "norms", "params": "{}"}, KeyError),
        ({"workload": "norms", "params": "{}", "inputs": "no JSON"}, ValueError),
        ({"workload": "norms", "params": "{}", "inputs": "[[1, 2, 3, 4]]"}, TypeError),
    ],
)
def test_metadata_without_an_origin_is_an_error(metadata: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        Origin.from_metadata(metadata)


@pytest.mark.parametrize(
    ("record", "client", "sha256"),
    [
        (RECORD, "a", "aa"),
        (RECORD, "aggregate", "cc"),
        (RECORD, "nobody", ""),
        (None, "a", ""),
        (Round(1, None, ()), "aggregate", ""),
    ],
)
def test_the_hash_of_a_model_is_empty_if_the_round_has_no_such_model(
    record: Round | None, client: str, sha256: str
) -> None:
    assert sha256_of(record, client) == sha256


def test_parameters_with_numpy_values_would_not_survive() -> None:
    with pytest.raises(TypeError):
        Origin("norms", {"round": np.int64(3)}, ()).to_metadata()
