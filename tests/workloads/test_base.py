"""What a workload's class says about what it reads."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from flstore_core import workloads
from flstore_core.workloads import (
    Needs,
    Params,
    Pattern,
    PatternParams,
    ReadsArtifacts,
    ReadsStatistics,
    base,
    pattern_of,
    reads_vectors,
    registry,
    select,
    wants_statistics,
)


@dataclass(frozen=True)
class Some(Params):
    exactly: bool = False


class Asking:
    pattern: ClassVar[Pattern] = Pattern.P3
    needs: ClassVar[Needs]

    def __init__(self, needs: Needs) -> None:
        self.needs = needs  # type: ignore[misc]


class AskingForBoth(Asking):
    def reads_statistics(self, params: Some) -> bool:
        return params.exactly


@pytest.mark.parametrize(
    ("workload", "exactly", "wanted"),
    [
        (Asking(Needs.METADATA), True, False),
        (Asking(Needs.STATISTICS), False, True),
        (Asking(Needs.WEIGHTS), True, False),
        (Asking(Needs.MODEL), True, False),
        (AskingForBoth(Needs.WEIGHTS), True, True),
        (AskingForBoth(Needs.WEIGHTS), False, False),
        (AskingForBoth(Needs.METADATA), True, False),
    ],
)
def test_statistics_are_read_for_those_who_need_them_or_say_so(workload: Any, exactly: bool, wanted: bool) -> None:
    assert wants_statistics(workload, Some(exactly)) is wanted


def test_a_request_may_choose_its_pattern_only_where_the_parameters_let_it() -> None:
    workload: Any = Asking(Needs.WEIGHTS)
    assert pattern_of(workload, Some()) is Pattern.P3
    assert pattern_of(workload, PatternParams(pattern="P1")) is Pattern.P1
    assert pattern_of(workload, PatternParams()) is Pattern.P2


def test_built_in_workloads_say_what_else_they_read_by_their_methods() -> None:
    built_in = registry.load()
    assert {name for name, workload in built_in.items() if isinstance(workload, ReadsArtifacts)} == {"provenance"}
    reading = {name for name, workload in built_in.items() if isinstance(workload, ReadsStatistics)}
    assert {"aggregate", "personalize", "provenance", "unlearn"} <= reading
    assert {built_in[name].needs for name in reading} == {Needs.WEIGHTS}


@pytest.mark.parametrize(
    ("needs", "averages", "reads"),
    [
        (Needs.METADATA, True, False),
        (Needs.STATISTICS, False, True),
        (Needs.WEIGHTS, False, True),
        (Needs.MODEL, False, False),
        (Needs.MODEL, True, True),
    ],
)
def test_vectors_are_read_from_statistics_slices_and_averages_of_models(
    needs: Needs, averages: bool, reads: bool
) -> None:
    workload: Any = Asking(needs)
    assert reads_vectors(workload) is (reads and not averages)
    workload.averages_models = averages
    assert reads_vectors(workload) is reads


@pytest.mark.parametrize("name", registry.names())
def test_a_workload_runs_where_its_needs_say_and_has_no_method_of_another_place(name: str) -> None:
    workload = registry.get(name)
    assert hasattr(workload, "map") is (workload.needs is Needs.WEIGHTS)
    assert hasattr(workload, "run") is (workload.needs is Needs.MODEL)


SINCE = {"AveragesModels", "Weighted", "reads_vectors", "unweighted"}
"""Names that version 0.1 did not have."""


@pytest.mark.parametrize("name", sorted({*workloads.__all__} - SINCE))
def test_packages_of_version_0_1_find_in_base_what_they_always_did(name: str) -> None:
    """All but the choices of rounds, which were in `select`, and the pattern, which had a module of its own."""
    elsewhere = {"client_history", "newest", "one_round", "round_range"}
    assert getattr(select if name in elsewhere else base, name) is getattr(workloads, name)


@pytest.mark.parametrize("name", ["Krum", "registry", "Weighted"])
def test_a_name_that_was_never_there_is_pointed_to_the_page(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"no attribute '{name}'; look in flstore_core\.workloads"):
        getattr(base, name)
