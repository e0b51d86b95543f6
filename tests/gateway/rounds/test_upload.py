"""What is refused before a byte is written."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from flstore_core.errors import FLStoreError, InvalidParameters, InvalidTensors, SchemaMismatch
from flstore_core.ids import ClientId
from flstore_core.records import WEIGHT_NAMES, Member
from services.gateway.rounds.upload import MAX_METRICS_BYTES, CheckedUpload, Upload, check, merge_metrics
from tests.gateway.rounds.world import JOB, body

DEEP = "[" * 100_000


def checked(content: bytes, **metrics: Any) -> CheckedUpload:
    return check(Upload(JOB, 0, ClientId("c"), memoryview(content), metrics))


def weight_of(upload: CheckedUpload) -> float | None:
    return Member(ClientId("c"), "", 0, 0, upload.metrics, keyed_weight=upload.keyed_weight).weight


def test_a_good_upload_tells_where_its_data_begin() -> None:
    content = body(1)
    header_length = int.from_bytes(content[:8], "little")
    assert len(checked(content).file.head) == 8 + header_length
    assert b"".join(checked(content).file.cut(0, 24)) == np.array([-2, -1, 0, 1, 2, 3], "<f4").tobytes()


def test_metrics_beside_the_body_override_those_in_it() -> None:
    content = body(1, {"metrics": json.dumps({"num_examples": 7, "loss": 0.5})})
    upload = checked(content, loss=0.25, accuracy=0.75)
    assert upload.metrics == {"num_examples": 7, "loss": 0.25, "accuracy": 0.75}
    assert weight_of(upload) == 7.0


def test_an_update_needs_no_metrics() -> None:
    assert weight_of(checked(body(1))) is None
    assert checked(body(1)).metrics == {}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_tensor_that_is_not_finite_is_named(bad: float) -> None:
    content = save({"bias": np.zeros(2, np.float32), "weight": np.array([[0, 1], [bad, 2]], np.float32)})
    with pytest.raises(InvalidTensors, match="tensor 'weight' has a NaN, an infinity") as caught:
        checked(content)
    assert caught.value.extensions["tensor"] == "weight"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", InvalidTensors),
        (b"no safetensors file", InvalidTensors),
        (body(1)[:-1], InvalidTensors),
        (save({"bias": np.zeros(2, np.float32)}), SchemaMismatch),
        (save({"bias": np.zeros(2, np.float32), "weight": np.zeros((4, 1), np.float32)}), SchemaMismatch),
        (save({"bias": np.zeros(2, np.float32), "weight": np.zeros((2, 2), np.float16)}), SchemaMismatch),
    ],
    ids=["empty", "text", "cut", "missing tensor", "other shape", "other dtype"],
)
def test_what_is_not_in_the_jobs_schema_is_refused(content: bytes, error: type[FLStoreError]) -> None:
    with pytest.raises(error):
        checked(content)


def test_a_header_much_longer_than_the_schemas_is_not_read() -> None:
    with pytest.raises(InvalidTensors):
        checked(body(1, {"filler": "x" * (2**20 + 1000)}))
    assert len(checked(body(1, {"filler": "x" * 2**19})).file.head) > 2**19


@pytest.mark.parametrize(
    ("in_file", "message"),
    [
        ("{", "is not JSON"),
        (DEEP, "is not JSON"),
        ("[]", "must be a JSON object"),
        ("3", "must be a JSON object"),
        ('{"loss": NaN}', "NaN, infinities and endless nesting are not JSON"),
        (r'{"name": "\ud800"}', "half of a surrogate pair"),
        (json.dumps({"note": "x" * MAX_METRICS_BYTES}), "at most 65536 are kept"),
    ],
)
def test_metrics_that_cannot_be_kept_are_refused(in_file: str, message: str) -> None:
    with pytest.raises(InvalidParameters, match=message):
        merge_metrics({"metrics": in_file}, {})


def test_metrics_may_be_as_long_as_is_said() -> None:
    metrics = {"note": "x" * (MAX_METRICS_BYTES - len('{"note":""}'))}
    assert merge_metrics({}, metrics) == metrics
    with pytest.raises(InvalidParameters, match="metrics take 65537 bytes"):
        merge_metrics({}, {"note": metrics["note"] + "x"})


@pytest.mark.parametrize("value", [-1, -0.5, 1e15, 10**400, "7", True, None, [1]], ids=repr)
def test_a_weight_lies_between_bounds_that_the_refusal_names(value: Any) -> None:
    with pytest.raises(InvalidParameters, match="use a number from 0 and below 1e"):
        checked(body(1), num_examples=value)


@pytest.mark.parametrize("name", WEIGHT_NAMES)
@pytest.mark.parametrize("value", [1, 0.5, 10**14, 0])
def test_weights_need_not_be_whole_and_may_be_zero(value: float, name: str) -> None:
    assert weight_of(checked(body(1), **{name: value})) == value


def test_weights_under_two_names_have_to_agree() -> None:
    assert weight_of(checked(body(1), **{"num_examples": 4, "num-examples": 4.0})) == 4.0
    with pytest.raises(InvalidParameters, match="num_examples and num-examples differ; send one of them"):
        checked(body(1), **{"num_examples": 4, "num-examples": 5})


def test_what_the_job_names_weighs_before_the_usual_names() -> None:
    keyed = replace(JOB, weight_key="samples")
    metrics = {"samples": 3, "num_examples": 4}
    upload = check(Upload(keyed, 0, ClientId("c"), memoryview(body(1)), metrics))
    assert (upload.keyed_weight, weight_of(upload), weight_of(checked(body(1), **metrics))) == (3.0, 3.0, 4.0)


@pytest.mark.parametrize("value", [-1, 1e15, 10**400, "7", True, None, [1], {"n": 1}], ids=repr)
def test_what_is_no_weight_under_the_name_that_the_job_gave_is_kept_as_any_other_metric(value: Any) -> None:
    keyed = replace(JOB, weight_key="samples")
    upload = check(Upload(keyed, 0, ClientId("c"), memoryview(body(1)), {"samples": value}))
    assert (weight_of(upload), upload.metrics) == (None, {"samples": value})
    beside = check(Upload(keyed, 0, ClientId("c"), memoryview(body(1)), {"samples": value, "num_examples": 4}))
    assert weight_of(beside) == 4.0
