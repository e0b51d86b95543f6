"""Tokens: what each grants, and texts that are no tokens."""

import hashlib
import json
from typing import Any

import pytest

from flstore_core.errors import Forbidden, InvalidParameters, Unauthorized
from services.gateway.auth import Tokens

TOKENS = Tokens(
    json.dumps(
        [
            {"token": "reader", "jobs": ["team-a-*", "shared"]},
            {"token": "writer", "jobs": ["team-a-?"], "access": "write"},
            {"sha256": hashlib.sha256(b"master").hexdigest().upper(), "access": "write"},
        ]
    )
)


@pytest.mark.parametrize(
    ("token", "job", "write"),
    [
        ("reader", "team-a-1", False),
        ("reader", "shared", False),
        ("reader", None, False),
        ("writer", "team-a-1", True),
        ("writer", None, True),
        ("master", "anything", True),
    ],
)
def test_a_token_allows_its_jobs(token: str, job: str | None, write: bool) -> None:
    for scheme in ("Bearer", "bearer"):
        TOKENS.check(f"{scheme} {token}", job, write=write)


@pytest.mark.parametrize(
    ("token", "job", "write", "message"),
    [
        ("reader", "team-a-1", True, "may read, not write"),
        ("reader", "Team-a-1", False, "does not reach job 'Team-a-1'"),
        ("writer", "team-a-10", False, "does not reach job 'team-a-10'"),
        ("writer", "shared", True, "does not reach job 'shared'"),
    ],
)
def test_a_token_allows_no_more(token: str, job: str, write: bool, message: str) -> None:
    with pytest.raises(Forbidden, match=message):
        TOKENS.check(f"Bearer {token}", job, write=write)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nobody", "Basic reader", "reader"])
def test_without_a_token_that_is_accepted_nothing_is_allowed(header: str) -> None:
    with pytest.raises(Unauthorized, match="a token that this gateway accepts"):
        TOKENS.check(header, None, write=False)
    with pytest.raises(Unauthorized):
        TOKENS.visible(header, ["shared"])


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic reader"])
def test_a_header_without_a_token_matches_no_grant_whatever_its_hash(header: str) -> None:
    tokens = Tokens(json.dumps([{"sha256": hashlib.sha256(b"").hexdigest(), "access": "write"}]))
    with pytest.raises(Unauthorized):
        tokens.check(header, "any", write=True)


def test_a_token_names_jobs_as_people_do_or_as_the_store_keeps_them() -> None:
    tokens = Tokens(json.dumps([{"token": "t", "jobs": ["team a *"]}, {"token": "u", "jobs": ["x--team_20a_207"]}]))
    for token in ("t", "u"):
        tokens.check(f"Bearer {token}", "x--team_20a_207", write=False)
        with pytest.raises(Forbidden):
            tokens.check(f"Bearer {token}", "x--team_20b_207", write=False)


def test_only_jobs_that_a_token_reaches_are_visible() -> None:
    jobs = ["other", "shared", "team-a-1", "team-a-10"]
    assert TOKENS.visible("Bearer reader", jobs) == ["shared", "team-a-1", "team-a-10"]
    assert TOKENS.visible("Bearer writer", jobs) == ["team-a-1"]
    assert TOKENS.visible("Bearer master", jobs) == jobs


def test_without_tokens_everybody_may_do_everything() -> None:
    tokens = Tokens(None)
    tokens.check("", "any", write=True)
    tokens.check_metrics("")
    assert tokens.may_write("", "any")
    assert tokens.visible("", ["a", "b"]) == ["a", "b"]


@pytest.mark.parametrize("text", ["[]", " [ ] "])
def test_a_list_without_tokens_lets_nobody_in_by_mistake(text: str) -> None:
    with pytest.raises(InvalidParameters, match="FLSTORE_TOKENS has no token; leave it unset to let everybody in"):
        Tokens(text)


def test_metrics_are_for_their_own_token_and_for_those_that_reach_every_job() -> None:
    tokens = Tokens(json.dumps([{"token": "all"}, {"token": "some", "jobs": ["a*", "**"]}]), "scraper")
    tokens.check_metrics("Bearer scraper")
    tokens.check_metrics("bearer all")
    with pytest.raises(Forbidden, match="metrics cover all jobs"):
        tokens.check_metrics("Bearer some")
    for header in ("", "Bearer ", "Bearer wrong", "Basic scraper"):
        with pytest.raises(Unauthorized):
            tokens.check_metrics(header)
        with pytest.raises(Unauthorized):
            Tokens(json.dumps([{"token": "all"}])).check_metrics(header)
    with pytest.raises(Unauthorized):
        tokens.check("Bearer scraper", None, write=False)


@pytest.mark.parametrize(
    "value",
    [
        "{",
        {"token": "x"},
        ["x"],
        [{"jobs": ["*"]}],
        [{"token": "x", "access": "admin"}],
        [{"token": "x", "jobs": "*"}],
        7,
        [{"token": ""}],
        [{"token": " "}],
        [{"token": None}],
        [{"token": 7}],
        [{"token": "x"}, {"sha256": ""}],
        [{"sha256": "ab"}],
        [{"sha256": "é" * 64}],
        [{"sha256": None}],
    ],
)
def test_a_text_that_is_no_list_of_tokens_is_refused_and_not_repeated(value: Any) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    with pytest.raises(InvalidParameters, match="FLSTORE_TOKENS must be a JSON list") as caught:
        Tokens(text)
    assert '"x"' not in caught.value.detail
