"""Settings are read where they are set; the rest is left to the dataclass."""

import re

import pytest

from flstore_core.errors import InvalidParameters
from flstore_core.policies.registry import check_policy
from flstore_core.units import parse_size
from services.common.settings import Parser, Variables, one_of, read, seconds, size, some_seconds, whole

VARIABLES: Variables = {
    "FLSTORE_THREADS": ("threads", int),
    "FLSTORE_SECONDS": ("seconds", float),
    "FLSTORE_BYTES": ("nbytes", parse_size),
    "FLSTORE_STORE": ("store", str),
}


def test_only_what_is_set_is_read() -> None:
    env = {"FLSTORE_THREADS": "8", "FLSTORE_BYTES": "2KiB", "FLSTORE_STORE": "", "PATH": "/bin"}
    assert read(env, VARIABLES) == {"threads": 8, "nbytes": 2048}
    assert read({}, VARIABLES) == {}


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("FLSTORE_THREADS", "4.5", "FLSTORE_THREADS is '4.5'; use a whole number"),
        ("FLSTORE_SECONDS", "soon", "FLSTORE_SECONDS is 'soon'; use a number"),
        ("FLSTORE_BYTES", "many", "FLSTORE_BYTES: size 'many' is not usable"),
    ],
)
def test_a_text_that_does_not_fit_is_refused_by_name(variable: str, text: str, message: str) -> None:
    with pytest.raises(InvalidParameters, match=re.escape(message)):
        read({variable: text}, VARIABLES)


@pytest.mark.parametrize(
    ("parser", "text", "message"),
    [
        (whole(1, 3), "4", "FLSTORE_X: 4 is not usable; use 1 to 3"),
        (whole(1), "0", "FLSTORE_X: 0 is not usable; use 1 or more"),
        (whole(1), "1e3", "FLSTORE_X: '1e3' is not usable; use a whole number"),
        (size(), "0", "FLSTORE_X: '0' is not usable; use 1 or more bytes"),
        (seconds, "-1", "FLSTORE_X: '-1' is not usable; use a number that is not negative"),
        (seconds, "inf", "FLSTORE_X: 'inf' is not usable; use a number that is not negative"),
        (some_seconds, "0", "FLSTORE_X: '0' is not usable; use a number above 0"),
        (some_seconds, "soon", "FLSTORE_X: 'soon' is not usable; use a number above 0"),
        (one_of(("a", "b")), "c", "FLSTORE_X: 'c' is not usable; use one of a, b"),
        (check_policy, "Tailored", "FLSTORE_X: policy 'Tailored' does not exist; nearest: tailored"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_what_would(parser: Parser, text: str, message: str) -> None:
    with pytest.raises(InvalidParameters, match=re.escape(message)):
        read({"FLSTORE_X": text}, {"FLSTORE_X": ("x", parser)})


def test_values_at_the_bounds_are_taken() -> None:
    parsers = {"A": whole(1, 3), "B": size(0), "C": seconds, "D": some_seconds, "E": one_of(("a", "b"))}
    env = {"A": "3", "B": "0", "C": "0", "D": "1e-3", "E": "b"}
    variables: Variables = {name: (name.lower(), parser) for name, parser in parsers.items()}
    assert read(env, variables) == {"a": 3, "b": 0, "c": 0.0, "d": 0.001, "e": "b"}
