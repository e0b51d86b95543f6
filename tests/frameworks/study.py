"""What was measured of a framework, and which of it was not as hoped."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tests.frameworks import memory, overhead
from tests.frameworks.accuracy import ATTACKERS, ATTACKS, EVEN, SEEDS, UNEVEN, Case, Learned
from tests.frameworks.memory import Peaks
from tests.frameworks.overhead import Overhead
from tests.frameworks.programs import Framework
from tests.frameworks.quickstart import Recorded

CLOSE = 0.02
"""Accuracies that differ by no more count as reached."""
HIGHEST_RATIO = 1.10


@dataclass(frozen=True)
class Study:
    """All that was measured of one framework; parts that failed are not in it."""

    framework: Framework
    recorded: Recorded | None = None
    learned: Mapping[Case, Learned] = field(default_factory=dict)
    peaks: Peaks = field(default_factory=dict)
    overheads: Mapping[float, Overhead] = field(default_factory=dict)
    """By mean seconds of training."""

    @property
    def name(self) -> str:
        return self.framework.name

    def final(self, case: Case) -> float | None:
        """Return the accuracy at a case's end; None if it failed."""
        return self.learned[case].final if case in self.learned else None

    def lost(self, case: Case) -> float | None:
        """Return by how much a case ends below the same training without attackers; None if one of the two failed."""
        reached, clean = self.final(case), self.final(Case(seed=case.seed, alpha=case.alpha))
        return None if reached is None or clean is None else clean - reached


def merged(studies: Sequence[Study]) -> list[Study]:
    """Return one study for each framework, with the trainings of all of its studies."""
    first: dict[str, Study] = {}
    for study in studies:
        known = first.get(study.name)
        first[study.name] = replace(known, learned={**known.learned, **study.learned}) if known else study
    return list(first.values())


def alone(seed: int, alpha: float) -> Case:
    """Return the case in which the attackers are not there."""
    return Case(seed=seed, alpha=alpha, alone=True)


def shortfalls(study: Study) -> Iterator[str]:
    """Yield what was not reached, in words."""
    advised = [Case(attack, "exclude") for attack in ("", *ATTACKS)]
    uneven = [Case(ATTACKS[0], "exclude", seed, UNEVEN) for seed in SEEDS]
    for case in (*advised, *uneven):
        if case in study.learned:
            yield from (f"{study.name}: {_setting(case)}, {each}." for each in _of_advice(study, case))
    for training_s, measured in study.overheads.items():
        if measured.ratio > HIGHEST_RATIO:
            yield (
                f"{study.name}: rounds {overhead.words(training_s)} take {measured.ratio:.2f} times as long with "
                f"FLStore; {HIGHEST_RATIO:.2f} were hoped for."
            )
    if not study.framework.bare:
        yield f"{study.name}: rounds {overhead.words(0.0)} were not tried, which takes longer than this study has."
    yield from _untried(study)


def _of_advice(study: Study, case: Case) -> Iterator[str]:
    learned, lost = study.learned[case], study.lost(case)
    if lost is not None and lost > CLOSE:
        without_them = study.lost(alone(case.seed, case.alpha))
        part = (
            "" if without_them is None else f"; without the attackers' data it ends {points(without_them)} lower anyway"
        )
        yield f"accuracy ends {points(lost)} lower than without attackers, in spite of advice{part}"
    if learned.excluded:
        yield f"honest updates were left out {learned.excluded} times"
    if learned.missed:
        yield f"updates of attackers counted {learned.missed} times"
    if learned.unadvised:
        yield f"{learned.unadvised} rounds had no advice"


def _untried(study: Study) -> Iterator[str]:
    for way, peaks in study.peaks.items():
        most = study.framework.most_clients
        name = f"{study.name}, {memory.words(way)}"
        if beyond := [clients for clients in memory.CLIENTS if clients > most]:
            yield f"{name}: {_listed(beyond)} clients were not tried, which takes longer than this study has."
        if missing := [clients for clients in memory.CLIENTS if clients <= most and clients not in peaks]:
            yield (
                f"{name}: {_listed(missing)} clients were not measured; they take more memory than was free, or failed."
            )


def points(share: float) -> str:
    """Return a difference of accuracies in words."""
    return f"{100 * share:.1f} points"


def _setting(case: Case) -> str:
    attackers = f"with {ATTACKERS} {case.attack} attackers" if case.attack else "with no attackers"
    return attackers if case.alpha == EVEN else f"{attackers}, α = {case.alpha:g} and seed {case.seed}"


def _listed(numbers: Sequence[int]) -> str:
    return " and ".join(map(str, numbers))
