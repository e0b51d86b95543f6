"""Names of stored models: what is written is what is read, and everything else is refused with the forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters
from flstore_core.ids import AGGREGATE, MAX_ROUND, METADATA, ClientId
from flstore_core.model_names import ModelName

usable = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
clients = usable.filter(lambda name: name not in (AGGREGATE, METADATA)).map(ClientId)
rounds = st.integers(0, MAX_ROUND)
models = st.one_of(
    st.builds(ModelName, rounds),
    st.builds(ModelName, rounds, clients),
    st.builds(lambda artifact: ModelName(artifact=artifact), usable),
)


@given(models)
def test_a_name_is_read_as_it_was_written(model: ModelName) -> None:
    assert ModelName.parse(str(model)) == model


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("12", ModelName(12, AGGREGATE)),
        ("0", ModelName(0)),
        ("12:", ModelName(12)),
        ("12:aggregate", ModelName(12)),
        ("007", ModelName(7)),
        ("0" * 5000 + "7", ModelName(7)),
        ("12:client-7", ModelName(12, ClientId("client-7"))),
        ("artifact:a1b2", ModelName(artifact="a1b2")),
    ],
)
def test_the_three_forms_are_read(text: str, model: ModelName) -> None:
    assert ModelName.parse(text) == model


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "1.5",
        "newest",
        "12:metadata",
        "12:a/b",
        "12:a:b",
        "artifact:",
        "artifact:a/b",
        "artifact",
        "100000000",
        "9" * 5000,
        "9" * 5000 + ":client-7",
        "٣",
        " 1",
    ],
)
def test_anything_else_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(InvalidParameters, match=r"is not usable; write 12 .*, 12:client-7 .* or artifact:ID"):
        ModelName.parse(text)


@given(st.text())
def test_any_text_is_either_a_model_or_refused(text: str) -> None:
    try:
        model = ModelName.parse(text)
    except InvalidParameters:
        return
    assert ModelName.parse(str(model)) == model


def test_the_reason_for_a_refused_name_is_told() -> None:
    with pytest.raises(InvalidParameters, match="client 'metadata' is a reserved name"):
        ModelName.parse("3:metadata")
    with pytest.raises(InvalidParameters, match="round '999999999' is no number from 0 to 99999999"):
        ModelName.parse("999999999")
