"""Proofs between services: what they cover, how long they are good, and which keys are accepted."""

import time
from contextlib import suppress
from itertools import pairwise

import pytest

from flstore_core.errors import InvalidParameters, ProofRefused
from services.common.proof import LONG, PROOF_HEADER, WINDOW_S, Keys, Proof, Verifier, new_key

KEYS = Keys.parse(new_key())


class Checked:
    """A verifier whose clock stands where the test puts it."""

    def __init__(self, keys: Keys = KEYS, most_nonces: int = 100, now: float | None = None) -> None:

        self.now = time.time() if now is None else now
        self.verifier = Verifier(keys, lambda: self.now, most_nonces)

    def check(
        self, header: str, method: str = "PUT", path: str = "/v1/a b", query: str = "x=1", message: str = "m"
    ) -> Proof:
        return self.verifier.check(header, method, path, query, message)


def proof(keys: Keys = KEYS, body: bytes = b"body") -> str:
    return keys.sign("PUT", "/v1/a%20b?x=1", [body[:2], memoryview(body)[2:]], "m")[PROOF_HEADER]


@pytest.mark.parametrize("body", [b"", b"body", bytes(LONG - 1), bytes(LONG), bytes(3 * LONG + 5)])
def test_a_proof_is_good_for_its_request_and_body(body: bytes) -> None:
    accepted = Checked().check(proof(body=body))
    assert accepted.covers_long_body == (len(body) >= LONG)
    for start in range(0, len(body), 1000):
        accepted.digest.update(body[start : start + 1000])
    accepted.check_body()


@pytest.mark.parametrize("length", [4, LONG])
def test_one_changed_bit_of_the_body_is_found(length: int) -> None:
    body = bytearray(length)
    accepted = Checked().check(proof(body=bytes(body)))
    body[-1] ^= 1
    accepted.digest.update(bytes(body))
    with pytest.raises(ProofRefused, match="the body is not the one that was signed"):
        accepted.check_body()


@pytest.mark.parametrize(
    "other",
    [{"method": "DELETE"}, {"path": "/v1/a"}, {"query": "x=2"}, {"query": ""}, {"message": ""}, {"message": "m2"}],
)
def test_a_proof_is_good_for_no_other_request(other: dict[str, str]) -> None:
    with pytest.raises(ProofRefused, match="of another key or another request"):
        Checked().check(proof(), **other)


@pytest.mark.parametrize(
    "header", ["", "x", "1 2 3", "1 a b c d", "2 1 n sha256:x code", "1 9999999999999 n d c", "é é é é é"]
)
def test_what_is_no_proof_is_refused(header: str) -> None:
    with pytest.raises(ProofRefused, match="send X-FLStore-Proof"):
        Checked().check(header)


@pytest.mark.parametrize("word", range(4))
def test_no_word_of_a_proof_can_be_changed(word: int) -> None:
    words = proof().split(" ")
    words[word + 1] = words[word + 1][:-1] + ("0" if words[word + 1][-1] != "0" else "1")
    with pytest.raises(ProofRefused, match="of another key or another request"):
        Checked().check(" ".join(words))


def test_a_proof_of_another_key_is_refused() -> None:
    with pytest.raises(ProofRefused, match="compare FLSTORE_SERVICE_KEYS"):
        Checked().check(proof(Keys.parse(new_key())))


@pytest.mark.parametrize("apart", [-WINDOW_S - 2, WINDOW_S + 2])
def test_a_proof_is_good_for_a_minute(apart: float) -> None:
    checked = Checked()
    checked.now += apart
    with pytest.raises(ProofRefused, match="by this clock; at most 60 s are accepted"):
        checked.check(proof())
    checked.now -= apart * 0.1
    checked.check(proof())


def test_no_proof_is_good_twice() -> None:
    checked, header = Checked(), proof()
    checked.check(header)
    with pytest.raises(ProofRefused, match="came before"):
        checked.check(header)


def test_no_proof_is_good_twice_though_the_clock_was_set_back() -> None:
    checked, header = Checked(), proof()
    checked.check(header)
    checked.now += 10 * WINDOW_S
    with pytest.raises(ProofRefused):
        checked.check(header)
    checked.verifier._forget_old()
    checked.now -= 10 * WINDOW_S
    with pytest.raises(ProofRefused, match="too many requests"):
        checked.check(header)


def test_of_more_proofs_than_are_remembered_none_is_good_twice() -> None:
    checked = Checked(most_nonces=3)
    headers = [proof() for _ in range(10)]
    accepted = []
    for header in headers:
        with suppress(ProofRefused):
            checked.check(header)
            accepted.append(header)
    assert len(accepted) >= 3
    assert len(checked.verifier._nonces) <= 3
    for header in accepted:
        with pytest.raises(ProofRefused):
            checked.check(header)


def test_keys_are_changed_without_refusing_a_request() -> None:
    old, new = new_key(), new_key()
    steps = [Keys.parse(text) for text in (old, f"{old},{new}", f"{new}, {old}", new)]
    for before, after in pairwise(steps):
        for caller, service in ((before, after), (after, before)):
            Checked(service).check(proof(caller))
    with pytest.raises(ProofRefused):
        Checked(steps[-1]).check(proof(steps[0]))


def test_without_a_key_nothing_is_signed() -> None:
    assert Keys.parse("none").sign("GET", "/") == {}


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({}, "FLSTORE_SERVICE_KEYS is not set"),
        ({"FLSTORE_SERVICE_KEYS": " "}, "FLSTORE_SERVICE_KEYS is not set"),
        ({"FLSTORE_SERVICE_KEYS": ","}, "FLSTORE_SERVICE_KEYS: there is no key in it"),
        ({"FLSTORE_SERVICE_KEYS": "short"}, "FLSTORE_SERVICE_KEYS: a key is too short; use 32"),
        ({"FLSTORE_SERVICE_KEYS": new_key() + ",none"}, "a key is too short"),
        ({"FLSTORE_SERVICE_KEYS": "none", "FLSTORE_HOST": "0.0.0.0"}, "where others can connect; set a key"),
        ({"FLSTORE_SERVICE_KEYS": "none", "FLSTORE_HOST": "::"}, "where others can connect"),
    ],
)
def test_a_service_that_strangers_could_use_does_not_start(env: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidParameters, match=message) as refused:
        Keys.from_env(env)
    assert "short" not in refused.value.detail.replace("too short", "")


def test_a_laptop_s_services_may_do_without() -> None:
    assert Keys.from_env({"FLSTORE_SERVICE_KEYS": "none"}) == Keys()
    assert Keys.from_env({"FLSTORE_SERVICE_KEYS": "none", "FLSTORE_HOST": "::1"}) == Keys()


def test_keys_are_masked() -> None:
    key = new_key()
    assert key not in repr(Keys.parse(key))


def test_time_and_nonce_are_new_for_each_request() -> None:
    assert proof() != proof()
