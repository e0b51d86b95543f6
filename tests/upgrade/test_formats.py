"""Every record and message, whatever a later version has added to it: read, kept, or refused by its format."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.errors import NewerFormat
from flstore_core.formats import FORMAT
from flstore_core.schema import Schema
from tests.upgrade.kinds import classes, instances, messages, records, stands_alone, unknown_fields, with_fields

few = settings(max_examples=20)
"""Each kind is looked at on its own, and there are many."""

RECORDS = [kind for kind in records() if stands_alone(kind)]


def through_the_store(value: Any) -> Any:
    return json.loads(json.dumps(value.to_json(), allow_nan=False))


def test_the_kinds_are_those_that_there_are() -> None:
    names = {kind.__name__ for kind in records()}
    assert names >= {"Assignment", "Job", "Member", "Opening", "Operation", "Round", "Shard", "StoredFile", "Table"}
    assert {kind.__name__ for kind in messages()} >= {"MapRequest", "RunRequest", "StatisticsRequest", "UploadMessage"}
    strangers = {kind for kind in classes() if kind not in records() and kind not in messages()}
    assert strangers == {Schema}, "a class that is stored is a flstore_core.formats.Record; a schema is part of a job's"


@pytest.mark.parametrize("kind", RECORDS)
@few
@given(data=st.data())
def test_a_record_keeps_what_a_later_version_has_added_anywhere_in_it(kind: Any, data: st.DataObject) -> None:
    stored = through_the_store(data.draw(instances(kind, unknown=True)))
    assert through_the_store(kind.from_json(stored)) == stored


@pytest.mark.parametrize("kind", [*RECORDS, *messages()])
@few
@given(data=st.data())
def test_what_a_later_version_has_added_changes_nothing_else(kind: Any, data: st.DataObject) -> None:
    value = data.draw(instances(kind))
    longer = with_fields(kind, through_the_store(value), data.draw(unknown_fields))
    assert longer != through_the_store(value)
    assert kind.from_json(longer) == value


@pytest.mark.parametrize("kind", [*RECORDS, *messages()])
@few
@given(data=st.data())
def test_a_later_format_is_refused_by_its_number(kind: Any, data: st.DataObject) -> None:
    stored = through_the_store(data.draw(instances(kind)))
    with pytest.raises(NewerFormat, match="has format 7, and this version of FLStore reads formats up to 1") as caught:
        kind.from_json({**stored, FORMAT: 7})
    assert caught.value.extensions == {"format": 7}
    kind.from_json({**stored, FORMAT: 1})


@pytest.mark.parametrize("number", ["2", None, 0, -1, 1.5, [1], {}])
def test_a_format_that_is_no_known_number_is_refused(number: Any) -> None:
    with pytest.raises(NewerFormat):
        RECORDS[0].unknown_in({FORMAT: number})
