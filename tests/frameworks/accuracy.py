"""Accuracy over rounds with attackers, with and without advice, and without the attackers' part of the data."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from flstore_core.client import FLStore
from tests.frameworks.plan import Outcome, Plan
from tests.frameworks.programs import Framework
from tests.frameworks.steps import Steps, side_by_side

ATTACKS = ("sign-flip", "scaled-noise")
ATTACKERS = 3
NOISE = 10.0
"""Norm of a scaled-noise attacker's update over that of its honest one."""
EVEN, UNEVEN = 1.0, 0.5
"""Of the Dirichlet distribution by which digits are dealt out."""
SEED, SEEDS = 1, (1, 2)
"""Of trainings on even data, of which there is one each, and on uneven data."""
IN_GAPS = 19
"""Niceness of trainings that need no simulator: they take what time others leave."""
DEADLINE_S = 30.0
"""What advice may take: how busy this machine is shall not decide."""


@dataclass(frozen=True)
class Case:
    """A training, and who shall be left out of it."""

    attack: str = ""
    advice: str = ""
    seed: int = SEED
    alpha: float = EVEN
    alone: bool = False
    """Whether those who attack in other cases are not there at all: then nobody has their data."""

    @property
    def name(self) -> str:
        if self.alone:
            return "honest clients alone"
        attack = f"{self.attack} attackers" if self.attack else "no attackers"
        return f"{attack}, {'advice followed' if self.advice == 'exclude' else 'no advice'}"

    def plan(self, url: str, job: str) -> Plan:
        return Plan(
            attack=self.attack,
            attackers=ATTACKERS if self.attack else 0,
            absent=ATTACKERS if self.alone else 0,
            noise=NOISE,
            alpha=self.alpha,
            seed=self.seed,
            url=url if self.advice else "",
            job=job,
            advice=self.advice,
            deadline_s=DEADLINE_S,
        )


@dataclass(frozen=True)
class Learned:
    """What came of a case."""

    outcome: Outcome
    excluded: int
    """Participations of honest clients that were left out."""
    missed: int
    """Participations of attackers that counted."""
    unadvised: int
    """Rounds without advice."""

    @property
    def final(self) -> float:
        """Accuracy at the end."""
        return self.outcome.accuracy[-1]


def even_cases() -> Iterator[Case]:
    """Yield the cases that every framework trains as it is deployed."""
    for attack in ("", *ATTACKS):
        yield from (Case(attack, advice) for advice in ("", "exclude"))
    yield Case(alone=True)


def uneven_cases() -> Iterator[Case]:
    """Yield the cases that tell what is lost by advice from what is lost with the attackers' data."""
    for seed in SEEDS:
        yield Case(seed=seed, alpha=UNEVEN)
        yield Case(seed=seed, alpha=UNEVEN, alone=True)
        yield Case(ATTACKS[0], "exclude", seed, UNEVEN)


def learn(framework: Framework, url: str, steps: Steps, cases: Sequence[Case]) -> Mapping[Case, Learned]:
    """Train cases, as many at once as the framework takes; cases that fail are not in the result."""
    works = [partial(_learn, framework, url, case, steps) for case in cases]
    learned = side_by_side(works, framework.at_once)
    return {case: each for case, each in zip(cases, learned, strict=True) if each is not None}


def _learn(framework: Framework, url: str, case: Case, steps: Steps) -> Learned | None:
    name = f"{framework.name}, {case.name}, seed {case.seed}, α = {case.alpha:g}"
    return steps.take(name, lambda: _train(framework, url, case), lambda learned: f"{100 * learned.final:.1f} %")


def _train(framework: Framework, url: str, case: Case) -> Learned:
    job = f"{framework.name.lower()}-{case.attack or 'clean'}-{secrets.token_hex(4)}"  # another one when done again
    plan = case.plan(url, job)
    light = framework.light if case.alpha != EVEN else ""
    outcome = framework.train(plan, light, IN_GAPS if light else framework.niceness)
    if not case.advice:
        return Learned(outcome, 0, plan.rounds * plan.attackers, 0)
    store = FLStore(url)
    advice = [store.round(job, number).metrics["advice"] for number in range(1, plan.rounds + 1)]
    bad = {framework.client.format(framework.first + number) for number in range(plan.attackers)}
    excluded = [set(each["applied"]) for each in advice]
    return Learned(
        outcome,
        sum(len(each - bad) for each in excluded),
        sum(len(bad - each) for each in excluded),
        sum(bool(each["problem"]) for each in advice),
    )
