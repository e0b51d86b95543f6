"""Whatever rounds and answers look like, they are shown: no view fails, and no line is wider than the screen."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from flstore_core.cli.drawing import drawn_object
from flstore_core.presentation import general, present, tidy, view_of
from flstore_core.workloads import Needs
from tests.presentation.screen import lines, screen
from tests.workloads.odd import histories
from tests.workloads.stored import Stored
from tests.workloads.test_odd_rounds import ODD, answer, questions

NAMES = st.text(st.characters(), max_size=40) | st.sampled_from(["client", "", "reasons", "[red]x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def shown(workload: Any, found: Any) -> None:
    view, tidied = view_of(workload.name), tidy(found)
    assert view is not None
    assert "\n" not in view.finding(tidied)
    for part in view.parts:
        part.of(tidied)
    assert all(cell_len(line) <= 80 for line in screen(workload.name, found, 80))


@given(stored=histories())
@ODD
def test_the_views_fit_every_answer_over_records_and_statistics(stored: Stored) -> None:
    for workload, params in questions(Needs.METADATA, Needs.STATISTICS):
        if isinstance(found := answer(stored, workload, params), dict):
            shown(workload, found)


@given(stored=histories(3))
@ODD
def test_the_views_fit_every_answer_over_weights(stored: Stored) -> None:
    for workload, params in questions(Needs.WEIGHTS):
        if isinstance(found := answer(stored, workload, params), dict):
            shown(workload, found)


@given(st.dictionaries(NAMES, JSON, max_size=4), st.integers(20, 120), st.booleans())
@settings(deadline=None)
def test_any_answer_of_a_package_is_shown_by_the_general_rule(whole: dict[str, Any], width: int, wide: bool) -> None:
    tidied = tidy(whole)
    assert "\n" not in general.finding(tidied)
    assert present("of-the-server-alone", tidied).finding == general.finding(tidied)
    assert all(cell_len(line) <= width for line in lines(drawn_object(whole, wide), width))
