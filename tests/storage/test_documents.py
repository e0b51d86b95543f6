"""JSON records in a store: written compactly, read back, swapped by etag, and told apart from damage."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import NotFound, PreconditionFailed
from flstore_core.storage.documents import CorruptDocument, load_json, load_json_with_etag, save_json
from tests.fakes.store import MemoryStore

texts = st.text(st.characters(codec="utf-8"), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@given(values)
def test_a_value_is_read_as_it_was_written(value: Any) -> None:
    store = MemoryStore()
    info = save_json(store, "jobs/j/job.json", value)
    assert load_json(store, "jobs/j/job.json") == value
    assert load_json_with_etag(store, "jobs/j/job.json") == (value, info.etag)


def test_a_record_takes_no_more_bytes_than_it_must() -> None:
    store = MemoryStore()
    save_json(store, "k", {"a": [1, 2], "b": None})
    assert store.contents["k"] == b'{"a":[1,2],"b":null}'


def test_a_missing_record_is_not_found() -> None:
    for load in (load_json, load_json_with_etag):
        with pytest.raises(NotFound):
            load(MemoryStore(), "k")


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":', b"\xff\xfe\xfa", b"nothing", b"[" * 100_000, b"9" * 5000])
def test_what_is_no_json_is_told_by_its_key_and_cannot_be_retried(body: bytes) -> None:
    store = MemoryStore()
    store.put("jobs/j/job.json", body)
    for load in (load_json, load_json_with_etag):
        with pytest.raises(CorruptDocument, match=r"object 'jobs/j/job\.json' is not JSON") as caught:
            load(store, "jobs/j/job.json")
        assert not caught.value.retryable


def test_conditions_are_those_of_the_store() -> None:
    store = MemoryStore()
    first = save_json(store, "k", 1, if_none_match=True)
    with pytest.raises(PreconditionFailed):
        save_json(store, "k", 2, if_none_match=True)
    save_json(store, "k", 2, if_match=first.etag)
    with pytest.raises(PreconditionFailed):
        save_json(store, "k", 3, if_match=first.etag)
    assert load_json(store, "k") == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_numbers_that_json_lacks_are_never_written(value: Any) -> None:
    store = MemoryStore()
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_json(store, "k", value)
    assert store.contents == {}
