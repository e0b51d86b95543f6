"""What the tailored policy foresees, step by step."""

import random
from collections.abc import Callable, Iterable

import pytest

from flstore_core.cache import Ledger
from flstore_core.cache.shadow import Shadow
from flstore_core.ids import AGGREGATE, METADATA
from flstore_core.patterns import Pattern
from flstore_core.policies import Cause, Key, Policy, Request, make_policy
from flstore_core.policies.base import TimeSource
from flstore_core.policies.tailored.policy import Ablation, Tailored
from flstore_core.simulator.replay import TraceClock

ROUND = 60.0
"""Seconds."""


class Run:
    """A job of four clients, of whom two train in each round, all objects ten bytes; a request every ten seconds."""

    def __init__(self, budget: int, policy: Callable[[int, TimeSource], Policy] = Tailored) -> None:
        self.clock = TraceClock()
        self.sizes: dict[Key, int] = {}
        self.ledger = Ledger(policy(budget, self.clock), budget, self.clock)
        self.shadow = Shadow(self.ledger, self.sizes)
        self.job = "j"

    def train(self, rounds: Iterable[int]) -> None:
        for number in rounds:
            for client in (*members(number), AGGREGATE, METADATA):
                key = Key(self.job, number, client)
                self.sizes[key] = 1 if client == METADATA else 10
                self.ledger.ingest(key, self.sizes[key])
            self.clock.now += ROUND
            self.shadow.commit(self.job, number)

    def ask(self, workload: str, pattern: Pattern, keys: Iterable[Key]) -> bool:
        self.clock.now += 10.0
        return self.shadow.request(Request(self.job, workload, pattern, tuple(keys))).hit

    def why(self, key: Key) -> str:
        return self.ledger.explain(key).why


def members(number: int) -> tuple[str, str]:
    return ("a", "b") if number % 2 else ("c", "d")


def whole(number: int) -> list[Key]:
    return [Key("j", number, client) for client in members(number)]


def test_the_next_round_of_a_scan_is_cached_in_either_direction() -> None:
    run = Run(budget=100)
    run.train(range(40))
    for number in (20, 19):
        run.ask("audit", Pattern.P2, whole(number))
    assert all(run.ask("audit", Pattern.P2, whole(number)) for number in range(18, 10, -1))
    for number in (25, 26):
        run.ask("replay", Pattern.P2, whole(number))
    assert all(run.ask("replay", Pattern.P2, whole(number)) for number in range(27, 35))


def test_a_tracked_clients_new_update_is_cached_without_the_round_being_kept() -> None:
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
    run.train([0])  # a job made anew under the name begins at round 0
    assert run.why(whole(0)[0]).endswith("newest round (P2)")


def test_the_room_of_a_deleted_job_is_filled_because_of_the_next_event() -> None:
    run = Run(budget=40)
    for number in range(4):
        run.train([number])
        run.ask("filter", Pattern.P2, whole(number))
    run.job = "k"
    run.train([0])
    for _ in range(3):
        run.ask("filter", Pattern.P2, [Key("k", 0, client) for client in members(0)])
    assert not any(key in run.ledger for key in whole(3)), "the other job has taken its room"
    run.ledger.discard_job("k")
    run.job = "j"
    run.ask("evaluation", Pattern.P1, [Key("j", 3, AGGREGATE)])
    assert all(key in run.ledger for key in whole(3))
    assert run.why(whole(3)[0]).startswith("prefetch; newest round")


def test_without_prefetching_nothing_is_fetched_ahead() -> None:
    run = Run(100, lambda budget, clock: Tailored(budget, clock, Ablation(prefetch=False)))
    run.train(range(20))
    for number in range(15, 5, -1):
        run.ask("audit", Pattern.P2, whole(number))
    assert run.ledger.overall().prefetches == 0


def test_what_a_plan_drops_stays_as_unplanned_while_there_is_room() -> None:
    run = Run(budget=80)
    run.train(range(3))
    assert run.why(whole(2)[0]).endswith("newest round (P2)")
    run.train([3])
    assert run.why(whole(2)[0]).endswith("not planned, kept while there is room")
    run.train([4])
    assert not run.ledger.explain(whole(2)[0]).cached


def test_unread_objects_leave_before_read_ones() -> None:
    run = Run(budget=120)
    run.train(range(3))
    old = [Key("j", 0, "c"), Key("j", 0, "d")]
    assert all(key in run.ledger for key in old)
    run.shadow.request(Request("j", "norms", Pattern.P2, (old[1],)))
    run.ledger.fill({Key("k", 0, "x"): 30}, Cause.DEMAND, Pattern.P1)
    assert run.ledger.eviction_reasons["never-asked"] > 0
    assert old[1] in run.ledger


def test_an_arriving_update_is_cached_where_there_is_room_or_something_nobody_read() -> None:
    run = Run(budget=60)
    run.train(range(2))
    assert run.ledger.ingest(Key("j", 2, "c"), 10).admitted
    full = Run(budget=30)
    full.train([0])
    for _ in range(3):
        full.ask("evaluation", Pattern.P1, [Key("j", 0, AGGREGATE)])
        full.ask("filter", Pattern.P2, whole(0))
    assert not full.ledger.ingest(Key("j", 1, "a"), 10).admitted


def test_updates_of_open_rounds_do_not_push_each_other_out() -> None:
    run = Run(budget=30)
    run.clock.now += 1.0
    cached = [run.ledger.ingest(Key("j", 0, client), 10).admitted for client in "abcd"]
    assert [bool(admitted) for admitted in cached] == [True, True, True, False]


def test_rounds_that_are_requested_before_their_commit_are_cached_as_they_arrive() -> None:
    """A training whose aggregates are made by FLStore reads each round once, whole, and never again."""
    run = Run(budget=75)
    hits = []
    for number in range(40):
        for key in whole(number):
            run.sizes[key] = 10
            run.ledger.ingest(key, 10)
        hits.append(run.ask("aggregate", Pattern.P2, whole(number)))
        run.train([number])
    assert all(hits)


def test_where_rounds_are_requested_only_after_their_commit_what_was_read_stays() -> None:
    run = Run(budget=75)
    run.train(range(4))
    for number in range(4):
        run.ask("filter", Pattern.P2, whole(number))
    before = {key for number in range(4) for key in whole(number) if key in run.ledger}
    assert not run.ledger.ingest(Key("j", 4, "c"), 10).admitted
    assert {key for key in before if key in run.ledger} == before


def test_an_update_that_a_planned_group_waits_for_is_cached_on_arrival() -> None:
    run = Run(budget=70)
    run.train(range(4))
    run.sizes[Key("j", 4, "a")] = 10
    run.ledger.ingest(Key("j", 4, "a"), 10)
    for _ in range(4):
        run.ask("deadline", Pattern.P2, [Key("j", 4, "a")])
    run.ask("evaluation", Pattern.P1, [Key("j", 0, AGGREGATE)])  # a miss, at which it plans again
    assert run.why(Key("j", 4, "a")).endswith("open round (P2)")
    assert run.ledger.ingest(Key("j", 4, "b"), 10).admitted
    assert run.why(Key("j", 4, "b")) == "arrival; open round (P2)"


def test_growing_metadata_can_force_planned_objects_out_but_no_pinned_one() -> None:
    run = Run(budget=40)
    run.train([0])
    pinned, other = whole(0)
    run.ledger.pin(pinned)
    outcome = run.ledger.fill({Key("j", 9, METADATA): 11}, Cause.DEMAND, Pattern.P4)
    assert (outcome.evicted, run.ledger.eviction_reasons) == ([other], {"least-planned": 1})


def test_an_object_that_two_candidates_share_leaves_as_late_as_the_denser_one() -> None:
    run = Run(budget=45)
    run.train(range(10))
    for _ in range(20):
        run.ask("reputation", Pattern.P3, [Key("j", number, "a") for number in (7, 9)])
        run.ask("filter", Pattern.P2, whole(9))
    shared, alone = whole(9)
    assert run.why(shared).endswith("tracked client (P3)")
    assert run.why(alone).endswith("newest round (P2)")
    outcome = run.ledger.fill({Key("j", 11, METADATA): 16}, Cause.DEMAND, Pattern.P4)
    assert outcome.evicted == [Key("j", 9, AGGREGATE), alone]


def test_what_was_learned_fades_so_that_users_may_change() -> None:
    """Two hundred requests for one client, then for rounds: the plan follows."""
    run = Run(budget=50)
    run.train(range(10))
    for _ in range(100):
        run.ask("reputation", Pattern.P3, [Key("j", number, "a") for number in (5, 7, 9)])
    assert run.why(Key("j", 5, "a")).endswith("tracked client (P3)")
    for _ in range(150):
        run.ask("filter", Pattern.P2, whole(8))
        run.ask("evaluation", Pattern.P1, [Key("j", 9, AGGREGATE)])
    assert all(run.ask("filter", Pattern.P2, whole(8)) for _ in range(5))
    assert not run.ledger.explain(Key("j", 5, "a")).cached


def test_requests_for_metadata_change_no_plan() -> None:
    asked, quiet = Run(budget=60), Run(budget=60)
    for run in (asked, quiet):
        run.train(range(6))
        run.ask("filter", Pattern.P2, whole(5))
    for _ in range(50):
        asked.ask("dashboard", Pattern.P4, [Key("j", number, METADATA) for number in range(6)])
    assert {key for key in asked.sizes if key in asked.ledger} == {key for key in quiet.sizes if key in quiet.ledger}


def test_slices_of_a_job_are_planned_apart() -> None:
    clock = TraceClock()
    policy = make_policy("tailored", 40, clock, random.Random(0))
    ledger = Ledger(policy, 40, clock)
    for part in (0, 1):
        for client in "ab":
            ledger.ingest(Key("j", 0, client, part), 10)
    clock.now = 60.0
    assert not any(ledger.commit("j", 0, part) for part in (0, 1))  # all of it is cached already
    assert {ledger.explain(Key("j", 0, "a", part)).why for part in (0, 1)} == {"arrival; newest round (P2)"}


@pytest.mark.parametrize(("parts", "expected"), [(Ablation(), True), (Ablation(follow=False), False)])
def test_only_a_policy_that_follows_requests_returns_to_an_old_round(parts: Ablation, expected: bool) -> None:
    run = Run(budget=60, policy=lambda budget, clock: Tailored(budget, clock, parts))
    run.train(range(10))
    for _ in range(5):
        run.ask("debug", Pattern.P2, whole(3))
        run.ask("evaluation", Pattern.P1, [Key("j", 9, AGGREGATE)])
    assert run.why(whole(3)[0]).endswith("round requested again (P2)") is expected


def test_objects_that_were_read_before_they_were_planned_count_as_read_once_they_are_dropped() -> None:
    run = Run(budget=80)
    read, beside = whole(0)
    for key in (read, beside):
        run.sizes[key] = 10
        run.ledger.ingest(key, 10)
    run.ask("inspect", Pattern.P1, [read])
    run.clock.now += ROUND
    run.shadow.commit("j", 0)
    assert run.why(beside).endswith("newest round (P2)")
    run.train([1, 2])
    assert run.why(beside).endswith("not planned, kept while there is room")
    assert run.why(whole(1)[0]) == "evicted: never-asked"


def test_a_round_that_was_dropped_is_planned_again_when_it_is_worth_it() -> None:
    """A served model gives way to one round, and has no room beside two that are read in turn."""
    run = Run(budget=50)
    run.train(range(10))
    for _ in range(5):
        run.ask("serving", Pattern.P1, [Key("j", 3, AGGREGATE)])
    for _ in range(40):
        run.ask("filter", Pattern.P2, whole(5))
    for _ in range(40):
        for number in (5, 7):
            run.ask("filter", Pattern.P2, whole(number))
    assert {run.why(whole(number)[0]) for number in (5, 7)} == {"demand; round requested again (P2)"}
