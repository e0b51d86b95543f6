"""Traces are read whole, or refused with the number of the bad line."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.patterns import Pattern
from flstore_core.policies import Key
from flstore_core.simulator import TraceError, read_trace
from flstore_core.simulator.events import METADATA_BYTES, Committed, Created, Requested

UPDATE = '{"t": 0.0, "event": "update", "job": "j", "round": 3, "client": "17", "bytes": 46796528}'
COMMIT = '{"t": 9.0, "event": "commit", "job": "j", "round": 3, "aggregate_bytes": 46796528}'
REQUEST = (
    '{"t": 12.5, "event": "request", "job": "j", "workload": "clustering", "pattern": "P2",'
    ' "keys": [{"round": 3, "client": "17"}, {"round": 3, "client": "aggregate"}, {"round": 3, "client": "metadata"}]}'
)


def test_the_documented_events_are_understood(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    file.write_text("\n".join([UPDATE, COMMIT, REQUEST]))
    trace = read_trace(file)
    update, aggregate, metadata = (Key("j", 3, client) for client in ("17", "aggregate", "metadata"))
    assert trace.sizes == {metadata: METADATA_BYTES, update: 46796528, aggregate: 46796528}
    assert trace.lines == 3
    assert [type(event) for event in trace.events] == [Created, Created, Created, Committed, Requested]
    asked = trace.events[-1]
    assert isinstance(asked, Requested)
    assert asked.request == ("j", "clustering", Pattern.P2, (update, aggregate, metadata))


def test_an_update_sent_again_changes_nothing() -> None:
    assert read_trace([UPDATE, UPDATE]).events == read_trace([UPDATE]).events


def _changed(line: str, **fields: object) -> str:
    return json.dumps(json.loads(line) | fields)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([UPDATE, COMMIT[:40]], "line 2: not a whole JSON object"),
        ([UPDATE, "[]"], "line 2: an event is a JSON object, not list"),
        ([UPDATE, ""], "line 2: not a whole JSON object"),
        ([COMMIT, UPDATE], r"line 2: t is 0.0, before the 9.0 of an earlier line"),
        ([_changed(UPDATE, t=float("nan"))], "line 1: t is nan"),
        ([_changed(UPDATE, t="0")], "line 1: t is '0'"),
        ([UPDATE, _changed(COMMIT, event="comit")], "line 2: event 'comit' does not exist; nearest: commit"),
        ([_changed(UPDATE, bytes=-1)], "line 1: bytes is -1"),
        ([UPDATE, _changed(COMMIT, aggregate_bytes=-5)], "line 2: aggregate_bytes is -5"),
        ([_changed(UPDATE, bytes=1.5)], "line 1: bytes is 1.5"),
        ([_changed(UPDATE, bytes=True)], "line 1: bytes is True"),
        ([UPDATE, _changed(UPDATE, bytes=7)], "round 3 17 of job 'j' has 7 bytes, but 46796528 in an"),
        ([UPDATE, REQUEST], "line 2: round 3 aggregate of job 'j' is requested, but no earlier event created it"),
        ([UPDATE, COMMIT, _changed(REQUEST, pattern="P5")], "line 3: pattern 'P5' does not exist"),
        ([UPDATE, COMMIT, _changed(REQUEST, keys=["17"])], "line 3: a key is '17'"),
        ([_changed(UPDATE, client="metadata")], "line 1: client 'metadata' is a reserved name"),
        ([_changed(UPDATE, round=-1)], "line 1: round -1 is out of range"),
        ([_changed(UPDATE, event=["update"])], r"line 1: event is \['update'\]"),
        ([_changed(UPDATE, event=None)], "line 1: event is None"),
        ([_changed(UPDATE, t=10**400)], "line 1: t is 1000"),
        ([_changed(UPDATE, t=-(10**400))], "line 1: t is -1000"),
        ([_changed(UPDATE, bytes=10**400)], "line 1: bytes is 1000"),
        ([UPDATE.replace("46796528", "9" * 5000)], "line 1: not a whole JSON object"),
        (["[" * 100_000], "line 1: not a whole JSON object"),
        ([_changed(UPDATE, client="\ud800")], r"line 1: client is '\\ud800'; use printable text"),
        ([_changed(UPDATE, job="a\n")], r"line 1: job is 'a\\n'"),
        ([UPDATE, COMMIT, _changed(REQUEST, pattern=["P2"])], r"line 3: pattern is \['P2'\]"),
        ([UPDATE, COMMIT, _changed(REQUEST, keys={})], "line 3: keys is {}"),
        ([UPDATE, COMMIT, _changed(REQUEST, keys=[{"round": 3, "client": []}])], r"line 3: client is \[\]"),
        ([], "the trace has no events"),
    ],
)
def test_bad_lines_are_named(lines: list[str], complaint: str) -> None:
    with pytest.raises(TraceError, match=complaint):
        read_trace(lines)


def test_a_line_that_is_no_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    file.write_bytes(UPDATE.encode() + b"\n\xff\xfe\n" + COMMIT.encode())
    with pytest.raises(TraceError, match="line 2: not a whole JSON object"):
        read_trace(file)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"trace '.*absent' cannot be read: No such file"):
        read_trace(tmp_path / "absent")


VALUES: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([]) | st.just([{}]) | st.just({})
)


@given(st.sampled_from([UPDATE, COMMIT, REQUEST]), st.data())
def test_any_value_in_any_field_is_read_or_refused_in_a_short_message(line: str, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(json.loads(line))))
    before = [UPDATE, COMMIT] if line is REQUEST else []
    message = _complaint([*before, _changed(line, **{field: data.draw(VALUES)})])
    assert len(message.encode()) < 300


def _complaint(lines: list[str]) -> str:
    try:
        read_trace(lines)
    except TraceError as error:
        return error.detail
    return ""


numbers = st.integers(0, 5)
clients = st.sampled_from(["a", "b", "17"])
updates = st.tuples(numbers, clients, st.integers(0, 10**9))


@given(st.lists(updates, min_size=1, max_size=20, unique_by=lambda row: row[:2]), st.floats(0, 1e9))
def test_what_is_written_is_read(rows: list[tuple[int, str, int]], t: float) -> None:
    lines = [
        json.dumps({"t": t, "event": "update", "job": "j", "round": number, "client": client, "bytes": size})
        for number, client, size in rows
    ]
    trace = read_trace(lines)
    assert trace.lines == len(rows)
    expected = {Key("j", number, client): size for number, client, size in rows}
    metadata = {Key("j", number, "metadata"): METADATA_BYTES for number, _, _ in rows}
    assert trace.sizes == expected | metadata
    created = [event for event in trace.events if isinstance(event, Created)]
    assert {event.key: event.size for event in created} == trace.sizes
    assert {event.t for event in created} == {t}


def test_equal_keys_of_a_trace_are_one_object() -> None:
    trace = read_trace([UPDATE, COMMIT, REQUEST])
    created = {event.key: event.key for event in trace.events if isinstance(event, Created)}
    asked = trace.events[-1]
    assert isinstance(asked, Requested)
    assert all(created[key] is key for key in asked.request.keys)


def test_a_commit_that_is_sent_again_changes_nothing_and_another_size_is_refused() -> None:
    assert read_trace([UPDATE, COMMIT, COMMIT]).events == read_trace([UPDATE, COMMIT]).events
    with pytest.raises(TraceError, match="line 3: round 3 aggregate of job 'j' has 5 bytes, but 46796528"):
        read_trace([UPDATE, COMMIT, _changed(COMMIT, aggregate_bytes=5)])


def test_a_missing_field_is_named_and_the_line_is_in_the_problem() -> None:
    line = json.dumps({name: value for name, value in json.loads(UPDATE).items() if name != "bytes"})
    with pytest.raises(TraceError, match="line 1: bytes is missing; see the format of traces") as caught:
        read_trace([line])
    assert caught.value.extensions == {"line": 1}
