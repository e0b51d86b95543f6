"""What `make e2e-chaos` says of answers, updates and load, it says of made-up ones and of local processes as well."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from flstore_core.client import FLStore, Receipt
from flstore_core.client.exchange import NoResponse, Request, Response
from flstore_core.errors import NotFound
from services.local.running import running
from tests.e2e import chaos, steps, storms
from tests.e2e.answers import Answers, Watched, flaw_in, word_for
from tests.e2e.ledger import Ledger

PROBLEM = {"type": "urn:flstore:problem:unavailable", "code": "unavailable", "status": 503}
GOOD_HEADERS = {"content-type": "application/problem+json", "retry-after": "1"}
SMALL = {"layers": (64,), "head": (2, 3)}
PUT = Request("PUT", "/v1/jobs/chaos/rounds/1/clients/client-1")


def _answer(status: int = 503, headers: dict[str, str] = GOOD_HEADERS, **problem: Any) -> Response:
    return Response(status, headers, bytearray(json.dumps(PROBLEM | {"status": status} | problem).encode()))


@pytest.mark.parametrize(
    "outcome",
    [
        _answer(),
        _answer(429),
        _answer(404, {"content-type": "application/problem+json; charset=utf-8"}),
        Response(201, {}, bytearray(b"{}")),
        NoResponse("http://gateway", "refused"),
    ],
)
def test_an_error_that_says_what_to_do_has_no_flaw(outcome: Response | NoResponse) -> None:
    assert flaw_in(outcome) is None


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (_answer(headers={"content-type": "application/problem+json"}), "without Retry-After"),
        (_answer(429, {"content-type": "application/problem+json"}), "without Retry-After"),
        (_answer(headers={"content-type": "application/json", "retry-after": "1"}), "no problem of FLStore"),
        (_answer(type="about:blank"), "no problem of FLStore"),
        (Response(503, GOOD_HEADERS, bytearray(b"no healthy upstream")), "no problem of FLStore"),
        (Response(502, GOOD_HEADERS, bytearray(b"[]")), "no problem of FLStore"),
        (_answer(500, code="internal"), "500"),
        (Response(404, GOOD_HEADERS, bytearray(json.dumps(PROBLEM).encode())), "404"),
    ],
)
def test_an_error_that_leaves_a_caller_in_doubt_has_a_flaw(outcome: Response, why: str) -> None:
    assert why in str(flaw_in(outcome))


def test_answers_are_counted_by_status_and_code() -> None:
    answers = Answers()
    answers.note(PUT, _answer())
    before = answers.counts.copy()
    for outcome in (
        _answer(),
        Response(201, {}, bytearray(b"{}")),
        NoResponse("http://gateway", "[Errno 111] Connection refused"),
    ):
        answers.note(PUT, outcome)
    assert answers.since(before) == "1 × 201, 1 × 503 unavailable, 1 × no answer, refused"
    assert answers.flaws == []


def test_a_flaw_names_the_request() -> None:
    answers = Answers()
    answers.note(PUT, Response(404, {"content-type": "text/plain"}, bytearray(b"404 page not found")))
    assert word_for(Response(404, {}, bytearray(b"404 page not found"))) == "404"
    assert answers.flaws[0].startswith("PUT /v1/jobs/chaos/rounds/1/clients/client-1: no problem of FLStore: 404")


class Kept(FLStore):
    """Has the updates that it is given, and no others."""

    def __init__(self, bodies: dict[str, bytes]) -> None:
        self._bodies = bodies

    def download_raw(self, job: Any, round: int, client: Any, **_: Any) -> bytearray:  # noqa: A002
        if client not in self._bodies:
            raise NotFound(f"{job}/{round} has no update of {client}")
        return bytearray(self._bodies[client])


def _acknowledged(client: str, sha256: str) -> Receipt:
    return Receipt("chaos", 1, client, sha256, 3)


def test_an_acknowledged_update_that_is_gone_or_changed_is_named() -> None:
    ledger = Ledger()
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of RFC 6234
    for client in ("here", "gone", "changed"):
        ledger.add(_acknowledged(client, abc))
    with pytest.raises(AssertionError, match=r"2 of 3 .*chaos/1/gone \(not-found\), chaos/1/changed \(has the hash "):
        ledger.read_back(Kept({"here": b"abc", "changed": b"abd"}))
    assert "3 updates, 0.00 GB" in ledger.read_back(Kept(dict.fromkeys(("here", "gone", "changed"), b"abc")))
    assert len(ledger.entries(1)) == 3
    assert ledger.entries(2) == []


METRICS = """\
# TYPE flstore_requests_total counter
flstore_requests_total{route="/v1/jobs",status="200"} 5.0
flstore_requests_total{route="/readyz",status="503"} 2.0
# TYPE flstore_requests_created gauge
flstore_requests_created{route="/v1/jobs",status="200"} 1.7e9
"""


def test_requests_are_counted_over_all_routes() -> None:
    assert storms.requests_in(METRICS) == 7.0


def test_load_is_even_when_each_pod_answers_its_part() -> None:
    assert storms.evenness({"a": 100.0, "b": 0.0, "c": 0.0}, {"a": 110.0, "b": 10.0, "c": 10.0}) == 1.0
    assert storms.evenness({"a": 100.0}, {"a": 120.0, "b": 5.0, "c": 5.0}) == 0.5
    assert storms.evenness({"a": 1.0}, {"a": 1.0}) == 0.0


def test_the_storms_go_through_on_one_machine(tmp_path: Path) -> None:
    answers, ledger = Answers(), Ledger()
    with running(str(tmp_path / "store"), log=tmp_path / "log") as (url, _), Watched(url, answers) as store:
        steps.ingest(store)
        assert storms.remake(store, times=1) == "1 times"
        storms.create_job(store, SMALL)
        broken = threading.Event()
        flood = storms.Flood(url, answers, ledger, clients=6, shapes=SMALL)
        assert "6 × 201" in flood.run(1, broken.set)
        assert broken.is_set()
        assert storms.commit(store, ledger, 1) == "6 updates"
        assert ledger.read_back(store).startswith("6 updates")
        with storms.Readers(url, answers, connections=2, pause_s=0.0):
            steps.ask(store)
        assert answers.flaws == []
        ledger.add(_acknowledged("client-9", "00"))
        with pytest.raises(AssertionError, match="committed without chaos/1/client-9"):
            storms.commit(store, ledger, 1)


def test_without_a_cluster_and_an_address_the_program_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLSTORE_E2E_KUBECONFIG", "config")
    monkeypatch.delenv("FLSTORE_E2E_URL", raising=False)
    assert chaos.main() == 2
    assert "FLSTORE_E2E_URL" in capsys.readouterr().err
