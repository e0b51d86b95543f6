"""Scans are found by their steps, and the round that comes next is their candidate."""

from typing import cast

import pytest

from flstore_core.policies.tailored.candidates import Hazards
from flstore_core.policies.tailored.known_rounds import Group
from flstore_core.policies.tailored.scans import CURSORS_PER_WORKLOAD, MOST_WORKLOADS, Scans
from tests.policies.tailored.parts import Named, updates

ROUNDS = range(100)


def scans(named: Named | None = None) -> Scans:
    """Return scans through a hundred rounds."""
    return Scans(lambda number: updates(number) if number in ROUNDS else Group(), cast("Hazards", named or Named()))


def read(tracked: Scans, *rounds: int, workload: str = "audit", every: float = 10.0) -> list[bool]:
    """Request rounds one after the other, the first at second 0; return which moved a scan."""
    return [
        tracked.observe_request(workload, number, newest=False, now=index * every)
        for index, number in enumerate(rounds)
    ]


def next_rounds(tracked: Scans) -> list[int]:
    return [next(iter(candidate.group.sizes)).round for candidate in tracked.candidates]


def test_the_example_in_the_module() -> None:
    tracked = scans()
    assert read(tracked, 20) == [False]
    assert next_rounds(tracked) == [19]
    assert tracked.observe_request("audit", 19, newest=False, now=10.0)
    assert next_rounds(tracked) == [18]
    assert tracked.latest is not None
    assert tracked.latest.kind == "scan in progress"
    assert tracked.observe_request("audit", 20, newest=False, now=20.0)
    assert next_rounds(tracked) == [21]


def test_a_scan_that_lately_went_forward_starts_forward_elsewhere() -> None:
    tracked = scans()
    read(tracked, 20, 21, 22, 50)
    assert next_rounds(tracked)[0] == 51
    read(tracked, 50, 49, 48, 47, 46, 80)
    assert next_rounds(tracked)[0] == 79


def test_the_same_round_again_starts_nothing() -> None:
    tracked = scans()
    read(tracked, 20)
    before = tracked.candidates[0]
    assert read(tracked, 20) == [False]
    assert tracked.candidates == [before]


def test_only_so_many_scans_are_followed_and_the_one_that_rested_longest_ends() -> None:
    named = Named()
    tracked = scans(named)
    read(tracked, 20, 40, 19, 60)
    assert len(tracked.candidates) == CURSORS_PER_WORKLOAD
    assert sorted(next_rounds(tracked)) == [18, 59]
    assert named.made["scan started", "audit"].lives == [(0.0, 20.0), (0.0, 20.0)]


def test_a_step_teaches_its_stage_and_a_step_the_other_way_teaches_no_request() -> None:
    named = Named()
    tracked = scans(named)
    read(tracked, 20, 19, 18, 19)
    started, progress = named.made["scan started", "audit"], named.made["scan in progress", "audit"]
    assert (started.requests, started.lives) == ([10.0], [(0.0, 10.0)])
    assert (progress.requests, progress.lives) == ([10.0], [(0.0, 10.0), (0.0, 10.0)])


def test_the_newest_round_starts_a_scan_and_never_moves_one() -> None:
    named = Named()
    tracked = scans(named)
    assert not tracked.observe_request("audit", 50, newest=True, now=0.0)
    assert not tracked.observe_request("audit", 51, newest=True, now=10.0)
    assert ("scan started at the newest round", "audit") in named.made
    assert tracked.observe_request("audit", 50, newest=False, now=20.0)


@pytest.mark.parametrize("end", [0, 99])
def test_beyond_the_first_and_the_last_round_nothing_comes_next(end: int) -> None:
    tracked = scans()
    read(tracked, *((2, 1, 0) if end == 0 else (97, 98, 99)))
    assert tracked.candidates == []
    assert tracked.latest is not None
    assert tracked.latest.group.sizes == {}


def test_workloads_scan_apart() -> None:
    named = Named()
    tracked = scans(named)
    read(tracked, 20, workload="audit")
    assert read(tracked, 19, workload="replay") == [False]
    assert sorted(next_rounds(tracked)) == [18, 19]
    assert {name for kind, name in named.made if kind == "scan started"} == {"audit", "replay"}


def test_workloads_beyond_the_most_share_one_name() -> None:
    named = Named()
    tracked = scans(named)
    for number in range(MOST_WORKLOADS + 3):
        read(tracked, number, workload=f"w{number}")
    names = {name for _, name in named.made}
    assert names == {f"w{number}" for number in range(MOST_WORKLOADS)} | {""}
