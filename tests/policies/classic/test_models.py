"""Each classic policy caches, request by request, what its reference model caches."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.policies.classic.asking import Asked
from tests.policies.classic.models import MODELS

LETTERS = "abcdefgh"
requests = st.text(LETTERS, max_size=60)
sizes = st.fixed_dictionaries({letter: st.sampled_from((1, 2, 4, 8)) for letter in LETTERS})
"""Powers of two, so that priorities of uses over size are exact."""


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=60)
@given(asked=requests, sizes=sizes, room=st.integers(8, 32))
def test_a_policy_caches_what_its_model_caches(name: str, asked: str, sizes: dict[str, int], room: int) -> None:
    cache = Asked(name, room, sizes)
    for letter, expected in zip(asked, MODELS[name](asked, sizes, room), strict=True):
        cache.ask(letter)
        assert cache.cached() == expected


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "asked",
    [
        pytest.param("".join(LETTERS[(number * number + number // 7) % 8] for number in range(700)), id="many misses"),
        pytest.param("abc" * 100 + "defgh" * 3 + "abc", id="many hits"),
    ],
)
def test_a_long_run_too(name: str, asked: str) -> None:
    """Long enough for the heap of GDSF to be rebuilt and for ghosts to be forgotten."""
    equal = dict.fromkeys(LETTERS, 2)
    cache = Asked(name, 10, equal)
    for letter, expected in zip(asked, MODELS[name](asked, equal, 10), strict=True):
        cache.ask(letter)
        assert cache.cached() == expected
