"""Settings are read where they are set; the rest is left to the dataclass."""

import re

import pytest

from flstore_core.errors import InvalidParameters
from flstore_core.units import parse_size
from services.common.settings import Variables, read

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
