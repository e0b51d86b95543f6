"""Values that calls return."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.client import Answer, Fields, JobInfo, Operation
from tests.client.test_api import ANSWER

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_fields_are_a_mapping_equal_to_the_object_they_show(data: dict[str, object]) -> None:
    fields = Fields(data)
    assert fields.raw is data
    assert list(fields) == list(data)
    assert len(fields) == len(data)
    assert {name: plain(fields[name]) for name in fields} == data


def plain(value: object) -> object:
    """Return a value of `Fields` as the JSON value it shows."""
    if isinstance(value, Fields):
        return {name: plain(value[name]) for name in value}
    return [plain(item) for item in value] if isinstance(value, list) else value


def test_members_are_attributes_down_to_the_leaves() -> None:
    fields = Fields({"pairs": [{"a": "c1", "scores": [{"x": 1}]}], "items": 3})
    assert fields.pairs[0].scores[0].x == 1
    assert fields["items"] == 3, "a member of a mapping method's name is reached by its key"
    assert "pairs" in dir(fields)
    assert repr(fields) == "Fields({'pairs': [{'a': 'c1', 'scores': [{'x': 1}]}], 'items': 3})"


@pytest.mark.parametrize(("data", "names"), [({"a": 1, "b": 2}, "a, b"), ({}, "none")])
def test_a_missing_member_names_the_others(data: dict[str, object], names: str) -> None:
    with pytest.raises(AttributeError, match=f"no field 'c'; there are {names}"):
        _ = Fields(data).c
    with pytest.raises(KeyError):
        Fields(data)["c"]


def test_a_value_takes_the_members_it_knows_and_ignores_a_newer_servers() -> None:
    job = JobInfo.from_json({"job": "j", "parameters": 1, "nbytes": 4, "open": [1], "later": {"x": 1}})
    assert job == JobInfo("j", 1, 4, open=(1,))
    with pytest.raises(TypeError, match="nbytes"):
        JobInfo.from_json({"job": "j", "parameters": 1})


def test_an_answer_keeps_its_whole_json() -> None:
    answer = Answer.from_json({**ANSWER, "etag": "x"})
    assert (answer.job, answer.workload, answer.pattern, answer.rounds) == ("j", "cosine-similarity", "P2", (3,))
    assert answer.raw["etag"] == "x"


@pytest.mark.parametrize(
    ("data", "operation"),
    [
        ({"id": "o", "state": "running"}, Operation("o", "running")),
        ({"id": "o", "state": "failed", "problem": {"code": "busy"}}, Operation("o", "failed", None, {"code": "busy"})),
        (
            {"id": "o", "state": "succeeded", "result": ANSWER, "created_at": 1.5},
            Operation("o", "succeeded", Answer.from_json(ANSWER), None, 1.5),
        ),
    ],
)
def test_an_operation_has_an_answer_or_a_problem_once_it_is_over(data: dict[str, object], operation: Operation) -> None:
    assert Operation.from_json(data) == operation
