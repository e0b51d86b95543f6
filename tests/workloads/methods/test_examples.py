"""The examples with numbers in the methods' own docstrings, run as they stand."""

import doctest
from importlib import import_module
from pkgutil import iter_modules

import pytest

from flstore_core.workloads import methods

HARD = {
    "bulyan",
    "evidence",
    "flame",
    "foolsgold",
    "gtg_shapley",
    "pelt",
    "quantiles",
    "shapley",
    "sorting_network",
    "z2_synchronization",
}
"""The methods that nobody understands without an example."""

MODULES = sorted(module.name for module in iter_modules(methods.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_method_come_out_as_written(name: str) -> None:
    module = import_module(f"{methods.__name__}.{name}")
    assert doctest.testmod(module).failed == 0


def test_every_hard_method_has_an_example() -> None:
    tested = {
        name
        for name in MODULES
        if doctest.DocTestFinder().find(import_module(f"{methods.__name__}.{name}"))[0].examples
    }
    assert tested >= HARD


@pytest.mark.parametrize("name", MODULES)
def test_every_method_opens_with_what_it_is(name: str) -> None:
    text = import_module(f"{methods.__name__}.{name}").__doc__
    assert text is not None
    assert len(text.splitlines()[0]) > 30
