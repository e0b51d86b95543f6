"""A gateway that lies, or another server at its address: an error of ours, and a folder that nobody serves."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from flstore_core import codec
from flstore_core.client import FLStore
from flstore_core.errors import FLStoreError
from flstore_core.models.fetching import Source, fetch
from flstore_core.models.folder import CONTENTS
from tests.client.scripted import Script, scripted
from tests.models.gateways import weights

BODY = codec.dumps(weights(13))
SHA256 = hashlib.sha256(BODY).hexdigest()
JOB = {"job": "small", "parameters": 1, "nbytes": 4, "latest": 1, "updates": "weights", "updates_stated": True}
MEMBER = {"sha256": SHA256, "nbytes": len(BODY), "data_offset": 8, "metrics": {}, "received_at": 0.0}
ROUND = {
    "round": 1,
    "base": 0,
    "members": [{**MEMBER, "client": "a"}],
    "aggregate": {**MEMBER, "client": "aggregate"},
    "metrics": {},
    "hyperparameters": {},
    "committed_at": 1.0,
}


@pytest.fixture(scope="module")
def server() -> Iterator[Script]:
    with scripted() as script:
        yield script


def answer(
    script: Script, job: Any, record: Any, program: bytes = b"pt2", model: bytes = BODY, sha256: str = ""
) -> None:
    """Answer as a gateway does, in the order in which it is asked."""
    script.clear()
    script.reply(job)
    script.reply(record)
    script.reply_bytes(program, ETag=f'"{hashlib.sha256(program).hexdigest()}"')
    script.reply_bytes(model, ETag=f'"{sha256 or hashlib.sha256(model).hexdigest()}"')


def fetched(script: Script, folder: Path, uri: str = "flstore://small/latest") -> None:
    with FLStore(script.url, retries=0) as client:
        fetch(client, Source.parse(uri), folder)


def test_what_is_true_is_fetched(server: Script, tmp_path: Path) -> None:
    answer(server, JOB, ROUND)
    fetched(server, tmp_path)
    assert json.loads((tmp_path / CONTENTS).read_text())["weights"] == {"sha256": SHA256, "nbytes": len(BODY)}


@pytest.mark.parametrize(
    ("job", "record"),
    [
        ([], ROUND),
        ("small", ROUND),
        ({}, ROUND),
        ({**JOB, "latest": "../../etc"}, ROUND),
        ({**JOB, "latest": -1}, ROUND),
        ({**JOB, "latest": 1.5}, ROUND),
        ({**JOB, "latest": [1]}, ROUND),
        (JOB, {}),
        (JOB, []),
        (JOB, {**ROUND, "round": "../.."}),
        (JOB, {**ROUND, "round": 7}),
        (JOB, {**ROUND, "aggregate": None}),
        (JOB, {**ROUND, "aggregate": "all"}),
        (JOB, {**ROUND, "aggregate": {**MEMBER, "client": "aggregate", "sha256": None}}),
        (JOB, {**ROUND, "aggregate": {**MEMBER, "client": "aggregate", "sha256": "../../etc/passwd"}}),
        (JOB, {**ROUND, "aggregate": {**MEMBER, "client": "aggregate", "sha256": 7}}),
        (JOB, {**ROUND, "committed_at": None}),
        (JOB, {**ROUND, "members": 7}),
    ],
)
def test_a_job_or_round_that_is_none_is_refused(server: Script, tmp_path: Path, job: Any, record: Any) -> None:
    answer(server, job, record)
    with pytest.raises(FLStoreError):
        fetched(server, tmp_path)
    assert not (tmp_path / CONTENTS).exists()


@pytest.mark.parametrize("base", [None, "../..", -1, [0]])
def test_a_base_that_is_none_is_refused(server: Script, tmp_path: Path, base: Any) -> None:
    answer(server, {**JOB, "updates": "delta"}, {**ROUND, "base": base})
    with pytest.raises(FLStoreError):
        fetched(server, tmp_path, "flstore://small/1/a")
    assert not (tmp_path / CONTENTS).exists()


@pytest.mark.parametrize(
    ("model", "sha256"), [(BODY[:-1], ""), (BODY[::-1], SHA256), (b"", ""), (b"no tensors at all", ""), (bytes(9), "")]
)
def test_weights_that_are_not_those_of_the_record_are_refused(
    server: Script, tmp_path: Path, model: bytes, sha256: str
) -> None:
    answer(server, JOB, ROUND, model=model, sha256=sha256)
    with pytest.raises(FLStoreError):
        fetched(server, tmp_path)
    assert not (tmp_path / CONTENTS).exists()
    assert not list(tmp_path.glob("*.part"))


def test_weights_that_are_no_model_are_refused_though_the_record_names_them(server: Script, tmp_path: Path) -> None:
    for body in (b"no tensors at all", bytes(9), BODY[:-4], (2**63).to_bytes(8, "little") + bytes(8)):
        aggregate = {**MEMBER, "client": "aggregate", "sha256": hashlib.sha256(body).hexdigest()}
        answer(server, JOB, {**ROUND, "aggregate": aggregate}, model=body)
        with pytest.raises(FLStoreError):
            fetched(server, tmp_path)
        assert not (tmp_path / CONTENTS).exists()


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize(
    "reply",
    [
        Response("<html>502</html>", 502, media_type="text/html"),
        Response("<html>hello</html>", media_type="text/html"),
        Response(b"", 200, media_type="application/octet-stream"),
        Response("", 302, {"Location": "http://127.0.0.1:1/"}),
        Response(json.dumps({"job": 7}), media_type="application/json"),
    ],
    ids=["502", "html", "empty", "redirect", "json"],
)
def test_an_answer_of_something_else_is_no_answer(server: Script, tmp_path: Path, step: int, reply: Response) -> None:
    answer(server, JOB, ROUND)
    server.replies[step] = reply
    with pytest.raises(FLStoreError):
        fetched(server, tmp_path)
    assert not (tmp_path / CONTENTS).exists()
