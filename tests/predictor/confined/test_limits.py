"""What a process gives up, as it tells the kernel; `test_confinement` has what comes of it."""

import resource
from typing import Any

import pytest

from services.predictor.confined import limits
from services.predictor.confined.limits import Bounds

MIB = 2**20


class Libc:
    """Notes calls, and answers them all alike."""

    def __init__(self, answer: int = 0) -> None:
        self.calls: list[tuple[str, int]] = []
        self._answer = answer

    def prctl(self, option: int, value: Any, *_: int) -> int:
        self.calls.append(("prctl", option))
        return self._answer

    def capset(self, *_: Any) -> int:
        self.calls.append(("capset", 0))
        return self._answer


@pytest.fixture
def set_to(monkeypatch: pytest.MonkeyPatch) -> dict[int, tuple[int, int]]:
    """The limits that are set, by their kinds."""
    found: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "setrlimit", found.__setitem__)
    return found


def test_limits_are_those_of_the_bounds_beside_what_is_taken_already(
    monkeypatch: pytest.MonkeyPatch, set_to: dict[int, tuple[int, int]]
) -> None:
    monkeypatch.setattr(limits, "_taken", lambda: (100 * MIB, 500 * MIB))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (-1, -1))
    limits.limit(Bounds(memory_bytes=64 * MIB, mapped_bytes=1000 * MIB, seconds=2.5, threads=3))
    assert set_to[resource.RLIMIT_DATA] == 2 * ((100 + 64 + 4 * 8) * MIB,)
    assert set_to[resource.RLIMIT_AS] == 2 * ((500 + 64 + 1000 + 4 * 256) * MIB,)
    assert set_to[resource.RLIMIT_CPU] == (8, 9), "2.5 s of three threads, and a second to say so"
    assert set_to[resource.RLIMIT_FSIZE] == set_to[resource.RLIMIT_CORE] == (0, 0)


def test_no_limit_is_above_what_the_process_may_set(
    monkeypatch: pytest.MonkeyPatch, set_to: dict[int, tuple[int, int]]
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (5, 5))
    limits.limit(Bounds(MIB, MIB, 1.0, 1))
    assert max(hard for _, hard in set_to.values()) == 5


def test_what_is_taken_is_what_the_kernel_counts() -> None:
    data, addresses = limits._taken()
    assert 0 < data < addresses


def test_a_predictor_may_open_as_many_files_as_the_system_lets_it(
    monkeypatch: pytest.MonkeyPatch, set_to: dict[int, tuple[int, int]]
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    limits.allow_descriptors()
    assert set_to == {resource.RLIMIT_NOFILE: (4096, 4096)}


def test_privileges_are_given_up_for_good_and_memory_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    libc = Libc()
    monkeypatch.setattr(limits, "_libc", libc)
    limits.give_up_privileges()
    assert libc.calls == [("prctl", 38), *64 * [("prctl", 24)], ("capset", 0)]
    limits.hide()
    limits.die_with_parent()
    assert libc.calls[-2:] == [("prctl", 4), ("prctl", 1)]


def test_what_the_kernel_refuses_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_libc", Libc(-1))
    with pytest.raises(OSError, match="prctl 4"):
        limits.hide()
