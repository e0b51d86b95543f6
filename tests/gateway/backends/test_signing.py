"""What a gateway sends to backends and to the controller is signed, each attempt anew; a refusal is no user's fault."""

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from flstore_core.errors import ProofRefused, Unavailable
from flstore_core.ids import ClientId, JobId
from flstore_core.placement.base import Table
from flstore_core.shard.protocol import COMMITS, INVENTORY, MESSAGE_HEADER, SLICES, CommitMessage, MemberRef, SliceRef
from services.common.proof import PROOF_HEADER, Keys, Verifier, new_key
from services.gateway.backends.caches import Caches
from services.gateway.backends.calls import Calls
from services.gateway.backends.placement import Placement
from services.gateway.backends.shards import Shards
from tests.fakes.clock import FakeTime
from tests.fakes.store import MemoryStore
from tests.fakes.wire import FakeWire, Reply, Sent, read_whole

KEYS = Keys.parse(new_key())
PART = SliceRef(JobId("job"), "d" * 64, 1, 0)
MEMBER = MemberRef(1, ClientId("c"), "0" * 64, 8)
ANSWERS: Mapping[tuple[str, str], Reply] = {
    ("PUT", SLICES): Reply.of({"admitted": True}),
    ("POST", COMMITS): Reply(status=204),
    ("GET", INVENTORY): Reply.of({"jobs": {}}),
    ("DELETE", "/v1/placement/jobs/job"): Reply(status=204),
}


class Backend:
    """Answers what is well signed, and refuses the first `refusals` requests for whatever reason."""

    def __init__(self, refusals: int = 0, reply: Any = None) -> None:
        self.verifier = Verifier(KEYS, time.time)
        self.refusals = refusals
        self.reply = reply

    def __call__(self, sent: Sent) -> Reply:
        if self.refusals:
            self.refusals -= 1
            return Reply.problem(ProofRefused("the clocks differ"))
        url = urlsplit(sent.url)
        message = sent.headers.get(MESSAGE_HEADER, "")
        proof = self.verifier.check(sent.headers[PROOF_HEADER], sent.method, unquote(url.path), url.query, message)
        proof.digest.update(sent.body)
        proof.check_body()
        return ANSWERS.get((sent.method, url.path), Reply.of(self.reply if self.reply is not None else {}))


def calls(backend: Backend) -> tuple[Calls, FakeWire]:
    wire = FakeWire(backend)
    return Calls(60.0, FakeTime(), wire, KEYS), wire


@pytest.mark.parametrize("nbytes", [0, 24, 2**20])
def test_a_slice_is_signed_with_its_message_and_bytes(nbytes: int) -> None:
    sending, wire = calls(Backend())
    body = memoryview(bytes(nbytes))
    Shards(sending).put_slice(["http://a", "http://b"], PART, MEMBER, None, [body[:7], body[7:]])
    assert len({sent.headers[PROOF_HEADER] for sent in wire.sent}) == 2


def test_messages_questions_and_orders_are_signed() -> None:
    sending, wire = calls(Backend())
    Shards(sending).committed(["http://a"], PART, 3)
    assert json.loads(wire.sent[-1].body) == CommitMessage(PART, 3).to_json()
    caches = Caches(sending)
    caches.explain("http://a", "job/3/a b&c/1")
    caches.inventory("http://a")
    caches.forget_client({}, JobId("job"), ClientId("c"))
    assert sending.send("DELETE", ["http://a"], "/v1/jobs/job/clients/a%20b", read_whole) == b"{}"


def test_every_attempt_is_signed_anew() -> None:
    """A request that waited at a backend for too long is refused, and welcome when it comes again."""
    sending, wire = calls(Backend(refusals=2))
    assert sending.send("GET", ["http://a"], "/v1/cache/explain", read_whole) == b"{}"
    assert len({sent.headers[PROOF_HEADER] for sent in wire.sent}) == 3


def test_a_gateway_that_is_not_believed_is_unavailable_to_its_callers() -> None:
    sending, _ = calls(Backend(refusals=10**6))
    with pytest.raises(Unavailable, match="http://a does not accept this gateway as one of its deployment: the clocks"):
        sending.send("GET", ["http://a"], "/v1/inventory", read_whole)


def test_the_controller_is_asked_with_a_proof() -> None:
    backend = Backend(reply=Table(3).to_json())
    placement = Placement("http://placement", MemoryStore(), FakeWire(backend), KEYS)
    placement.wait_for_news()
    assert placement.table.version == 3
    placement.forget(JobId("job"))
    backend.refusals = 1
    with pytest.raises(Unavailable, match="http://placement does not accept this gateway") as refused:
        placement.wait_for_news()
    assert isinstance(refused.value.__cause__, ProofRefused)
