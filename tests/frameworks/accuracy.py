"""Accuracy over rounds with attackers, with and without advice."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flstore_core.client import FLStore
from tests.frameworks.plan import Outcome, Plan
from tests.frameworks.programs import Framework

ATTACKS = ("sign-flip", "scaled-noise")
ATTACKERS = 3
NOISE = 10.0
"""Norm of a scaled-noise attacker's update over that of its honest one."""
SEEDS = (1,)
DEADLINE_S = 30.0
"""What advice may take: how busy this machine is shall not decide."""


@dataclass(frozen=True)
class Case:
    """A training, and who shall be left out of it."""

    attack: str
    advice: str
    seed: int

    @property
    def name(self) -> str:
        attack = f"{self.attack} attackers" if self.attack else "no attackers"
        return f"{attack}, {'advice followed' if self.advice == 'exclude' else 'no advice'}"

    def plan(self, url: str, job: str) -> Plan:
        return Plan(
            attack=self.attack,
            attackers=ATTACKERS if self.attack else 0,
            noise=NOISE,
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


def cases() -> Iterator[Case]:
    for seed in SEEDS:
        for attack in ("", *ATTACKS):
            yield from (Case(attack, advice, seed) for advice in ("", "exclude"))


def learn(framework: Framework, url: str) -> Mapping[Case, Learned]:
    """Run all cases, one after the other: two clusters of Ray that start at once may wait for each other."""
    return {case: _learn(framework, url, case) for case in cases()}


def _learn(framework: Framework, url: str, case: Case) -> Learned:
    job = f"{framework.name.lower()}-{case.attack or 'clean'}-{case.seed}"
    plan = case.plan(url, job)
    outcome = framework.train(plan)
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
