"""What the tailored policy foresees, step by step."""

import random
from collections.abc import Iterable

from flstore_core.cache import Ledger
from flstore_core.cache.shadow import Shadow
from flstore_core.ids import AGGREGATE, METADATA
from flstore_core.patterns import Pattern
from flstore_core.policies import Key, Request, make_policy
from flstore_core.policies.tailored.hazard import Hazard, RequestInterval
from flstore_core.simulator.replay import TraceClock

ROUND = 60.0
"""Seconds."""


class Run:
    """A job of four clients, of whom two train in each round, all objects ten bytes; a request every ten seconds."""

    def __init__(self, budget: int, name: str = "tailored") -> None:
        self.clock = TraceClock()
        self.sizes: dict[Key, int] = {}
        policy = make_policy(name, budget, self.clock, random.Random(0))
        self.ledger = Ledger(policy, budget, self.clock)
        self.shadow = Shadow(self.ledger, self.sizes)

    def train(self, rounds: Iterable[int]) -> None:
        for number in rounds:
            for client in (*members(number), AGGREGATE, METADATA):
                key = Key("j", number, client)
                self.sizes[key] = 1 if client == METADATA else 10
                self.ledger.ingest(key, self.sizes[key])
            self.clock.now += ROUND
            self.shadow.commit("j", number)

    def ask(self, workload: str, pattern: Pattern, keys: Iterable[Key]) -> bool:
        self.clock.now += 10.0
        return self.shadow.request(Request("j", workload, pattern, tuple(keys))).hit


def members(number: int) -> tuple[str, str]:
    return ("a", "b") if number % 2 else ("c", "d")


def whole(number: int) -> list[Key]:
    return [Key("j", number, client) for client in members(number)]


def test_the_next_round_of_a_walk_is_there_in_either_direction() -> None:
    run = Run(budget=100)
    run.train(range(40))
    for number in (20, 19):
        run.ask("audit", Pattern.P2, whole(number))
    assert all(run.ask("audit", Pattern.P2, whole(number)) for number in range(18, 10, -1))
    for number in (25, 26):
        run.ask("replay", Pattern.P2, whole(number))
    assert all(run.ask("replay", Pattern.P2, whole(number)) for number in range(27, 35))


def test_a_tracked_clients_new_update_is_there_without_the_round_being_kept() -> None:
    run = Run(budget=110)
    run.train(range(20))
    for _ in range(5):
        run.ask("reputation", Pattern.P3, [Key("j", number, "a") for number in (15, 17, 19)])
    run.train(range(20, 24))
    assert run.ask("reputation", Pattern.P3, [Key("j", number, "a") for number in (19, 21, 23)])


def test_the_newest_model_and_all_metadata_stay() -> None:
    run = Run(budget=400)
    for number in range(40):
        run.train([number])
        assert run.ask("evaluation", Pattern.P1, [Key("j", number, AGGREGATE)])
    assert run.ask("dashboard", Pattern.P4, [Key("j", number, METADATA) for number in range(40)])


def test_metadata_takes_no_more_than_its_share() -> None:
    run = Run(budget=80)
    run.train(range(60))
    held = [number for number in range(60) if Key("j", number, METADATA) in run.ledger]
    assert 10 <= len(held) <= 11
    assert held[-1] == 59


def test_metadata_gives_way_where_nobody_asks_for_it() -> None:
    run = Run(budget=40)
    run.train(range(10))
    models = [[Key("j", number, AGGREGATE)] for number in range(4)]
    for _ in range(120):
        hits = [run.ask("serving", Pattern.P1, model) for model in models]
    assert all(hits)
    assert not run.ledger.ingest(Key("j", 10, METADATA), 1).admitted
    assert all(run.ask("serving", Pattern.P1, model) for model in models)


def test_a_released_model_is_kept_for_the_workload_that_serves_it() -> None:
    run = Run(budget=80)
    run.train(range(10))
    released = [Key("j", 3, AGGREGATE)]
    run.ask("serving", Pattern.P1, released)
    for number in range(10, 30):
        run.train([number])
        run.ask("evaluation", Pattern.P1, [Key("j", number, AGGREGATE)])
        hit = run.ask("serving", Pattern.P1, released)
        assert hit or number == 10


def test_what_is_kept_is_explained() -> None:
    run = Run(budget=100)
    run.train(range(10))
    run.ask("audit", Pattern.P2, whole(9))
    why = {key: run.ledger.explain(key).why for key in (*whole(9), Key("j", 9, METADATA))}
    assert why[whole(9)[0]].endswith("newest round (P2)")
    assert why[Key("j", 9, METADATA)].endswith("metadata (P4)")


def test_a_deleted_job_is_forgotten() -> None:
    run = Run(budget=100)
    run.train(range(10))
    for number in (5, 4):
        run.ask("audit", Pattern.P2, whole(number))
    run.ledger.discard_job("j")
    access = run.shadow.request(Request("other", "audit", Pattern.P2, (Key("other", 0, "x"),)))
    assert access.prefetches == ()
    assert all(key.job != "j" for key in run.sizes if key in run.ledger)


def test_without_prefetching_nothing_is_fetched_ahead() -> None:
    run = Run(100, "tailored-no-prefetch")
    run.train(range(20))
    for number in range(15, 5, -1):
        run.ask("audit", Pattern.P2, whole(number))
    assert run.ledger.overall().prefetches == 0


def test_a_hazard_learns_the_rate_at_each_age() -> None:
    # A hundred lives of 64 s, each asked for once after 10 s: one request in the bucket from 8 to 16 s, none elsewhere.
    hazard = Hazard(prior=0.0)
    for _ in range(104):
        hazard.observe_request(10.0)
        hazard.observe_life(64.0)
    assert abs(hazard.rate(10.0, 0.001) - 1 / 8) < 0.01
    assert hazard.rate(40.0, 0.001) == 0.0
    before = hazard.rate(10.0, 0.001)
    hazard.fade(0.5)
    assert 0.9 * before < hazard.rate(10.0, 0.001) <= before


def test_requests_at_one_instant_leave_a_gap_to_reckon_with() -> None:
    gap = RequestInterval()
    for _ in range(3):
        gap.observe_request(5.0)
    assert gap.seconds > 0.0
    assert Hazard(prior=0.3).rate(0.0, gap.seconds) > 0.0
