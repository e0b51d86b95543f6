"""The error tree: codes and statuses that stay, problems that come back as the error they were, near names."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core import errors
from flstore_core.errors import FLStoreError, ForeignAnswer, NotFound, Unavailable, from_problem, from_response, unknown


def tree(root: type[FLStoreError]) -> Iterator[type[FLStoreError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


OURS = [kind for kind in tree(FLStoreError) if kind.__module__ == errors.__name__ and "code" in vars(kind)]


def problem_of(error: FLStoreError) -> dict[str, object]:
    """As the services write it, in JSON and back."""
    body = {
        **error.extensions,
        "type": f"urn:flstore:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
    }
    parsed: dict[str, object] = json.loads(json.dumps(body))
    return parsed


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_an_error_comes_back_from_its_problem(kind: type[FLStoreError]) -> None:
    error = kind("what was wrong", tensor="w", row=3)
    back = from_problem(problem_of(error))
    assert type(back) is kind
    assert (back.detail, str(back), back.extensions) == ("what was wrong", "what was wrong", {"tensor": "w", "row": 3})


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_every_class_has_a_code_of_its_own_a_title_and_an_error_status(kind: type[FLStoreError]) -> None:
    assert [other for other in OURS if other.code == kind.code] == [kind]
    assert kind.title
    assert 400 <= kind.status < 600
    assert set(kind.code) <= set("abcdefghijklmnopqrstuvwxyz-")


def test_only_what_a_retry_can_help_is_retryable() -> None:
    retryable = {kind.__name__ for kind in OURS if kind.retryable}
    store_and_backends = {"BackendSilent", "ProofRefused", "StoreUnavailable", "Unavailable"}
    assert retryable == store_and_backends | {"Busy", "DigestMismatch", "TooSlow"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, NotFound),
        (408, errors.TooSlow),
        (409, errors.Conflict),
        (412, errors.PreconditionFailed),
        (413, errors.TooLarge),
        (429, errors.Busy),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
        (418, FLStoreError),
        (500, FLStoreError),
    ],
)
def test_a_problem_without_a_known_code_is_judged_by_its_status(status: int, kind: type[FLStoreError]) -> None:
    error = from_problem({"status": status, "title": "from a later version"})
    assert type(error) is kind
    assert error.detail == "from a later version"


@pytest.mark.parametrize("status", ["error", None, [1], {"a": 1}, "404", 7])
def test_the_responses_status_counts_and_not_one_that_the_body_names(status: object) -> None:
    body = {"type": "urn:flstore:problem:new", "status": status, "detail": "d", "code": "new"}
    error = from_response(503, json.dumps(body).encode())
    assert type(error) is Unavailable
    assert (error.detail, error.extensions) == ("d", {})


@pytest.mark.parametrize("code", [[1], {"a": 1}, None, 404, "unknown"])
def test_a_code_that_is_not_known_leaves_the_class_to_the_status(code: object) -> None:
    body = {"type": "urn:flstore:problem:unknown", "code": code}
    assert type(from_response(404, json.dumps(body).encode())) is NotFound


@pytest.mark.parametrize("status", [301, 308, 401, 404, 405, 421, 429, 500, 502, 503, 504])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>404 page not found</html>",
        b"no healthy upstream",
        b'{"code": "not-found", "message": "no Route matched with those values"}',
        b'{"type": "about:blank", "title": "Not Found", "status": 404, "code": "not-found", "detail": "d"}',
        b'{"type": "urn:flstore:problem:not-found", "code": "not-fo',
        b'{"type": ["urn:flstore:problem:not-found"], "code": "not-found"}',
    ],
)
def test_an_answer_that_is_no_problem_of_ours_did_not_come_from_a_service(status: int, body: bytes) -> None:
    error = from_response(status, body)
    assert type(error) is ForeignAnswer
    assert (error.code, error.status, error.retryable) == ("unavailable", 503, True)
    assert error.detail == f"the server answered {status} {body.decode()}".rstrip()


def test_a_redirect_shows_where_it_leads_and_is_foreign_whatever_it_says() -> None:
    body = json.dumps(problem_of(NotFound("d"))).encode()
    assert type(from_response(404, body)) is NotFound
    error = from_response(307, body, {"LOCATION": "https://elsewhere/v1/map"})
    assert type(error) is ForeignAnswer
    assert error.detail == "the server answered 307 -> https://elsewhere/v1/map"


@pytest.mark.parametrize("body", [b"", b"[1]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 5000])
def test_a_body_that_is_no_object_is_shown_at_its_beginning(body: bytes) -> None:
    error = from_response(502, body)
    assert type(error) is ForeignAnswer
    assert error.detail == f"the server answered 502 {body[:200].decode(errors='replace')}".rstrip()


@pytest.mark.parametrize("problem", [None, [1], "text", 7])
def test_a_document_that_is_no_object_says_nothing(problem: object) -> None:
    error = from_problem(problem)
    assert type(error) is FLStoreError
    assert error.detail == "no detail was given"


@pytest.mark.parametrize(
    ("problem", "detail"),
    [
        ({}, "no detail was given"),
        ({"title": "t"}, "t"),
        ({"title": "t", "detail": "d"}, "d"),
        ({"detail": ""}, "no detail was given"),
    ],
)
def test_a_problem_says_what_it_can(problem: dict[str, str], detail: str) -> None:
    assert from_problem(problem).detail == detail


def test_an_unknown_code_falls_back_to_the_status_and_keeps_what_it_says() -> None:
    error = from_problem({"code": "from-the-future", "status": 404, "detail": "d", "code_of_planet": 7})
    assert type(error) is NotFound
    assert error.extensions == {"code_of_planet": 7}


def test_a_subclass_that_shares_its_parents_code_comes_back_as_the_parent() -> None:
    class Passing(errors.StoreUnavailable):
        """As the S3 store has one: only its own module tells it from its parent."""

    assert type(from_problem(problem_of(Passing("d")))) is errors.StoreUnavailable


def test_a_name_nearly_right_is_suggested() -> None:
    error = unknown("workload", "clusterin", ["clustering", "norms"])
    assert error.detail == "workload 'clusterin' does not exist; nearest: clustering"
    assert error.extensions == {"nearest": ["clustering"]}


def test_nothing_is_suggested_where_nothing_is_near() -> None:
    error = unknown("policy", "zzzz", ["lru", "fifo"])
    assert error.detail == "policy 'zzzz' does not exist"
    assert error.extensions == {"nearest": []}


@given(st.text(max_size=20), st.lists(st.text(min_size=1, max_size=10), max_size=6))
def test_only_existing_names_are_suggested_and_three_at_most(name: str, names: list[str]) -> None:
    nearest = unknown("thing", name, names).extensions["nearest"]
    assert set(nearest) <= set(names)
    assert len(nearest) <= 3
