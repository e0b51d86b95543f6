"""Names from outside are either safe everywhere or refused, with the rule in the message."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidId
from flstore_core.ids import (
    AGGREGATE,
    MAX_ROUND,
    METADATA,
    client_id,
    decode,
    encode,
    job_id,
    object_name,
    parse_round,
    readable,
    round_number,
    shard_id,
)
from flstore_core.storage.base import checked_key

FIRST = st.sampled_from("abcXYZ019")
REST = st.text(st.sampled_from("abcXYZ019._-"), max_size=127)
usable = st.builds(str.__add__, FIRST, REST)

CHECKS: dict[str, Callable[[str], str]] = {
    "job": job_id,
    "client": client_id,
    "shard": shard_id,
    "data set": lambda text: object_name("data set", text),
}


@pytest.mark.parametrize("kind", CHECKS)
@given(text=usable.filter(lambda text: text not in (AGGREGATE, METADATA)))
def test_a_usable_name_is_returned_as_it_is(kind: str, text: str) -> None:
    assert CHECKS[kind](text) == text


@given(usable)
def test_a_usable_name_is_one_part_of_an_objects_key(text: str) -> None:
    assert checked_key(f"jobs/{job_id(text)}/job.json") == f"jobs/{text}/job.json"


@pytest.mark.parametrize("kind", CHECKS)
@pytest.mark.parametrize(
    "text", ["", ".", "..", "-a", "_a", "a/b", "a b", "a\n", "a\0", "ä", "١", "a" * 129, "a:b", "~"]
)
def test_an_unusable_name_is_refused_with_the_rule(kind: str, text: str) -> None:
    with pytest.raises(InvalidId, match=re.escape(f"{kind} name")) as caught:
        CHECKS[kind](text)
    assert "1 to 128 of A-Z a-z 0-9 . _ -, beginning with a letter or digit" in caught.value.detail


@given(st.integers(0, MAX_ROUND))
def test_a_round_is_read_from_its_digits(number: int) -> None:
    assert parse_round(f"{number:08d}") == number


@pytest.mark.parametrize("text", ["", "x", "-1", "100000000", "9" * 5000])
def test_a_text_that_is_no_round_is_refused_in_a_short_message(text: str) -> None:
    with pytest.raises(InvalidId, match="is no number from 0 to 99999999") as caught:
        parse_round(text)
    assert len(caught.value.detail) < 100


@given(st.text())
def test_any_text_is_either_safe_or_refused(text: str) -> None:
    try:
        name = job_id(text)
    except InvalidId:
        return
    assert re.fullmatch(r"[A-Za-z0-9._-]+", name, re.ASCII)
    assert name[0].isalnum()


def test_a_long_name_is_cut_short_in_the_message() -> None:
    with pytest.raises(InvalidId) as caught:
        job_id("a/" * 1000)
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize("name", [AGGREGATE, METADATA])
def test_names_that_mean_something_else_are_no_clients(name: str) -> None:
    with pytest.raises(InvalidId, match=f"client '{name}' is a reserved name; choose another than") as caught:
        client_id(name)
    assert "['aggregate', 'metadata']" in caught.value.detail
    assert job_id(name) == name


@pytest.mark.parametrize("number", [0, 1, MAX_ROUND])
def test_round_numbers_within_the_range_are_returned(number: int) -> None:
    assert round_number(number) == number


@pytest.mark.parametrize("number", [-1, MAX_ROUND + 1, 10**30])
def test_round_numbers_beyond_eight_digits_are_refused(number: int) -> None:
    with pytest.raises(InvalidId, match=f"round {number} is out of range; use 0 to 99999999"):
        round_number(number)


@given(st.text(min_size=1, max_size=10).filter(lambda text: not text.startswith("x--")))
def test_any_text_can_be_encoded_and_is_read_back(text: str) -> None:
    name = encode(text)
    assert decode(name) == text
    assert encode(name) == name, "a name that is encoded names the same client"
    if text not in (AGGREGATE, METADATA):
        assert client_id(name) == name


@given(usable)
def test_a_usable_name_is_its_own_code(text: str) -> None:
    assert encode(text) == text


@pytest.mark.parametrize("name", ["x--c1", "x--a b", "x--_zz", "x--_ff", "x--Hospital_20", "x--_41", "x-Hospital_20A"])
def test_what_was_not_encoded_so_is_not_decoded(name: str) -> None:
    assert decode(name) == name or encode(decode(name)) == name


def test_a_job_that_nobody_encoded_is_refused_with_its_code() -> None:
    with pytest.raises(InvalidId, match=r"job name 'Run 7' is not usable; .* write it as x--Run_207"):
        job_id("Run 7")
    with pytest.raises(InvalidId, match=r"job name .* is kept in 303 characters"):
        encode("ä" * 50, "job")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("job 'x--Run_207' does not exist", "job 'Run 7' does not exist"),
        ("round 3 of job 'mnist' has 'x--a_20b' and 'x--c'", "round 3 of job 'mnist' has 'a b' and 'x--c'"),
        ("write it as x--a_20b", "write it as x--a_20b"),
        ("job 'mnist'", "job 'mnist'"),
    ],
)
def test_messages_have_the_names_that_were_given(message: str, shown: str) -> None:
    assert readable(message) == shown


def test_half_of_a_surrogate_pair_is_no_name() -> None:
    with pytest.raises(InvalidId, match="surrogate"):
        encode("\ud800")
