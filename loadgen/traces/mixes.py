"""Mixes: which habits make the requests of a trace, and in which shares."""

from collections.abc import Callable
from typing import NamedTuple

from loadgen.traces.habits import (
    Anything,
    Audit,
    Dashboard,
    Evaluation,
    FalseScan,
    FickleClient,
    Habit,
    NewestRound,
    OldFavourites,
    OldRoundTwice,
    Serving,
    TrackedClient,
)


class Part(NamedTuple):
    """A habit, its share of the requests, and the part of the trace in which it makes them."""

    habit: Habit
    share: float
    begin: float = 0.0
    end: float = 1.0
    """Where the part begins and ends, as shares of the trace's time."""


def _p1() -> list[Part]:
    return [Part(Serving(), 0.5), Part(Evaluation(), 0.5)]


def _p2() -> list[Part]:
    return [Part(NewestRound(), 0.6), Part(Audit(), 0.4)]


def _p3() -> list[Part]:
    return [Part(TrackedClient(), 1.0)]


def _p4() -> list[Part]:
    return [Part(Dashboard(), 1.0)]


def _paper() -> list[Part]:
    parts = (*_p1(), *_p2(), *_p3(), *_p4())
    return [part._replace(share=part.share / 4) for part in parts]


def _random() -> list[Part]:
    return [Part(Anything(), 1.0)]


def _adversarial() -> list[Part]:
    return [
        Part(FalseScan(), 0.25),
        Part(OldFavourites(), 0.25),
        Part(FickleClient(), 0.25),
        Part(OldRoundTwice(), 0.25),
    ]


def _shift() -> list[Part]:
    before = [Part(habit, share / 2, end=0.5) for habit, share, *_ in (*_p1(), *_p2())]
    after = [Part(habit, share / 2, begin=0.5) for habit, share, *_ in (*_p3(), *_p4())]
    return [part._replace(share=part.share / 2) for part in (*before, *after)]


MIXES: dict[str, Callable[[], list[Part]]] = {
    "p1": _p1,
    "p2": _p2,
    "p3": _p3,
    "p4": _p4,
    "paper": _paper,
    "random": _random,
    "adversarial": _adversarial,
    "shift": _shift,
}
"""Each call returns new habits, since a habit has state."""
