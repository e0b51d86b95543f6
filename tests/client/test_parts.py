"""A download in parts: what comes is written once it is known to be what was asked for."""

import hashlib
import io

import pytest

from flstore_core.client import parts
from flstore_core.client.api import Api
from flstore_core.client.exchange import Exchange, Response
from flstore_core.client.retry import retry_for
from flstore_core.errors import DigestMismatch, TooLarge, Unavailable
from tests.client.conftest import Either
from tests.client.conversation import Sent, converse
from tests.client.scripted import Script

API = Api(retry_for(0))
FILE = b"0123456789"
SHA256 = hashlib.sha256(FILE).hexdigest()
BINARY = "application/octet-stream"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", 4)


def part(start: int, stop: int, total: int = 10, body: bytes | None = None, sha256: str = SHA256) -> Response:
    headers = {"content-range": f"bytes {start}-{stop - 1}/{total}", "etag": f'"{sha256}"', "content-type": BINARY}
    return Response(206, headers, bytearray(FILE[start:stop] if body is None else body))


WHOLE = (part(0, 4), part(4, 8), part(8, 10))


def taken(exchange: Exchange[str], *answers: Response) -> list[Sent]:
    sent: list[Sent] = []
    assert converse(exchange, *answers, sent=sent) == SHA256
    return sent


def test_a_file_comes_in_parts_one_behind_the_other() -> None:
    file = io.BytesIO()
    sent = taken(API.download_model("j", 3, "c", file, sha256=SHA256, most_bytes=10), *WHOLE)
    assert file.getvalue() == FILE
    assert {each.path for each in sent} == {"/v1/jobs/j/rounds/3/clients/c"}
    assert [each.headers["Range"] for each in sent] == ["bytes=0-3", "bytes=4-7", "bytes=8-11"]


def test_aggregates_and_programs_come_likewise() -> None:
    aggregate = taken(API.download_model("j", 3, "aggregate", io.BytesIO()), *WHOLE)
    program = taken(API.download_program("j", io.BytesIO()), *WHOLE)
    assert [aggregate[0].path, program[0].path] == ["/v1/jobs/j/rounds/3/aggregate", "/v1/jobs/j/model"]


def test_a_server_that_knows_no_ranges_answers_with_the_whole() -> None:
    file = io.BytesIO()
    headers = {"etag": f'"{SHA256}"', "content-type": BINARY}
    taken(API.download_program("j", file), Response(200, headers, bytearray(FILE)))
    assert file.getvalue() == FILE


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([part(0, 4), part(4, 8, sha256="a" * 64)], "was replaced while it was read"),
        ([part(0, 4), part(4, 8, total=11)], "was replaced while it was read"),
        ([part(4, 8)], "other bytes than those from 0 on"),
        ([part(0, 4, body=b"012")], "other bytes than those from 0 on"),
        ([part(0, 4, total=3)], "other bytes than those from 0 on"),
        ([part(0, 4), part(0, 4)], "other bytes than those from 4 on"),
        ([part(0, 4), Response(200, {"etag": f'"{SHA256}"'}, bytearray(FILE))], "other bytes than those from 4 on"),
        ([Response(206, {"etag": f'"{SHA256}"'}, bytearray(FILE))], "other bytes than those from 0 on"),
        ([*WHOLE[:2], part(8, 10, body=b"xx")], "but the server names"),
        ([Response(200, {}, bytearray(FILE))], "but the server names no hash"),
    ],
)
def test_what_is_no_part_of_the_file_is_refused(answers: list[Response], said: str) -> None:
    with pytest.raises(Unavailable, match=said):
        converse(API.download_program("j", io.BytesIO()), *answers)


def test_a_file_that_is_longer_than_allowed_is_refused_at_its_first_part() -> None:
    file = io.BytesIO()
    with pytest.raises(TooLarge, match="has 10 bytes, and at most 9 are taken"):
        converse(API.download_program("j", file, most_bytes=9), part(0, 4))
    assert not file.getvalue()


def test_another_file_than_the_one_expected_is_refused() -> None:
    with pytest.raises(DigestMismatch, match=f"{SHA256}, and not"):
        converse(API.download_model("j", 3, "c", io.BytesIO(), sha256="a" * 64), *WHOLE)


def test_no_answer_is_taken_that_is_longer_than_what_was_asked_for(client: Either, script: Script) -> None:
    script.reply_bytes(FILE, ETag=f'"{SHA256}"')
    with pytest.raises(Unavailable, match="10 bytes or more, at most 4 were asked for"):
        client.download_program("j", io.BytesIO())
