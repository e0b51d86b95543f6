"""What a job's events make candidates, pattern by pattern."""

from collections.abc import Sequence

import pytest

from flstore_core.ids import METADATA
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key, Request
from flstore_core.policies.tailored.candidates import Candidate, Hazards
from flstore_core.policies.tailored.demand import Demand
from flstore_core.policies.tailored.scans import MOST_WORKLOADS
from tests.policies.tailored.parts import JOB, Steady, model, update

ROUND_S = 60.0


class Training:
    """A job whose rounds have updates of ten bytes from two clients each, and whose demand is being learned."""

    def __init__(self, index: bool = True, follow: bool = True) -> None:
        self.demand = Demand(Hazards(learning=True), index, follow)
        self.now = 0.0

    def train(self, *rounds: int, clients: str = "ab", commit: bool = True) -> None:
        for number in rounds:
            for client in clients:
                self.demand.add(update(number, client), 10)
            self.demand.add(model(number), 10)
            self.now += ROUND_S
            if commit:
                self.demand.commit(number, self.now)

    def ask(self, pattern: Pattern, *keys: Key, workload: str = "w") -> bool:
        self.now += 10.0
        return self.demand.observe_request(Request(JOB, workload, pattern, keys), self.now)

    def ask_round(self, number: int, workload: str = "w", clients: str = "ab") -> bool:
        return self.ask(Pattern.P2, *(update(number, client) for client in clients), workload=workload)

    def candidates(self, kind: str) -> list[Candidate]:
        return [candidate for candidate in self.demand.judge(self.now) if candidate.kind == kind]

    def keys(self, kind: str) -> list[list[Key]]:
        return [list(candidate.group.sizes) for candidate in self.candidates(kind)]

    def kinds(self) -> set[str]:
        return {candidate.kind for candidate in self.demand.judge(self.now)}


def test_a_commit_makes_the_round_and_its_model_candidates() -> None:
    training = Training()
    assert training.kinds() == set()
    training.train(1)
    assert training.keys("newest round") == [[update(1, "a"), update(1, "b")]]
    assert training.keys("newest model") == [[model(1)]]
    training.train(2)
    assert training.keys("newest round") == [[update(2, "a"), update(2, "b")]]
    assert training.keys("newest model") == [[model(2)]]
    assert training.keys("recent model") == [[model(1)]]


def test_a_late_commit_of_an_older_round_does_not_make_it_the_newest() -> None:
    training = Training()
    training.train(1, commit=False)
    training.train(2)
    training.demand.commit(1, training.now)
    assert training.keys("newest round") == [[update(2, "a"), update(2, "b")]]


def test_a_model_that_was_requested_is_expected_again_by_workload() -> None:
    training = Training()
    training.train(*range(1, 6))
    training.ask(Pattern.P1, model(2), workload="serving")
    training.ask(Pattern.P1, model(1), model(2), workload="evaluation")
    assert training.keys("model requested again") == [[model(2)], [model(1), model(2)]]


def test_the_workload_that_is_one_too_many_shares_the_first_ones_place() -> None:
    training = Training()
    training.train(*range(40))
    for number in range(MOST_WORKLOADS + 1):
        training.ask(Pattern.P1, model(number), workload=f"w{number}")
    assert len(training.candidates("model requested again")) == MOST_WORKLOADS + 1


def test_an_old_round_that_was_requested_is_expected_again_and_starts_a_scan() -> None:
    training = Training()
    training.train(*range(10))
    assert training.ask_round(5)
    assert training.keys("round requested again") == [[update(5, "a"), update(5, "b")]]
    assert training.keys("scan started") == [[update(4, "a"), update(4, "b")]]


def test_a_step_of_a_scan_is_worth_planning_for_and_a_hit_elsewhere_is_not() -> None:
    training = Training()
    training.train(*range(10))
    training.ask_round(5)
    assert training.ask_round(4)
    assert training.keys("scan in progress") == [[update(3, "a"), update(3, "b")]]
    assert not training.ask(Pattern.P1, model(9))


def test_a_scan_that_comes_to_the_end_of_history_is_not_worth_following() -> None:
    training = Training()
    training.train(0, 1, 2, 3)
    training.ask_round(1)
    assert not training.ask_round(0)


def test_the_newest_round_is_expected_as_such_and_not_as_requested_again() -> None:
    training = Training()
    training.train(*range(5))
    training.ask_round(4)
    assert "round requested again" not in training.kinds()
    assert training.keys("scan started at the newest round") == [[update(3, "a"), update(3, "b")]]


def test_the_updates_of_a_requested_open_round_join_its_candidate_as_they_arrive() -> None:
    training = Training()
    training.train(1)
    training.train(2, clients="a", commit=False)
    training.ask_round(2, clients="a")
    assert training.keys("open round") == [[update(2, "a")]]
    joined = training.demand.add(update(2, "b"), 10)
    assert joined is not None
    assert list(joined.group.sizes) == [update(2, "a"), update(2, "b")]
    assert joined.bytes == 20
    assert training.demand.add(model(2), 10) is None


def test_an_open_round_requested_before_its_first_update_gets_them_all() -> None:
    training = Training()
    training.train(1)
    training.ask_round(2)
    assert training.candidates("open round") == []
    joined = training.demand.add(update(2, "a"), 10)
    assert joined is not None
    assert joined.bytes == 10


def test_the_next_open_round_is_awaited_where_the_newest_was_requested_while_it_was_open() -> None:
    training = Training()
    for number, requested in enumerate((False, True, True, False)):
        training.train(number, commit=False)
        if requested:
            training.ask_round(number)
        training.demand.commit(number, training.now)
        assert training.demand.awaits(update(number + 1, "a")) is requested
        assert not training.demand.awaits(update(number, "a"))


def test_a_request_for_a_round_far_ahead_says_nothing_of_those_before_it() -> None:
    training = Training()
    training.train(5000, commit=False)
    training.ask_round(5000)
    training.train(1, 2)
    assert not training.demand.awaits(update(3, "a"))
    training.train(5000)
    assert training.demand.awaits(update(5001, "a"))


def test_a_tracked_client_is_expected_with_as_many_updates_as_its_request_named() -> None:
    training = Training()
    training.train(*range(6))
    for _ in range(3):
        training.ask(Pattern.P3, *(update(number, "a") for number in (1, 3, 5)))
    assert training.keys("tracked client") == [[update(number, "a") for number in (3, 4, 5)]]
    training.train(6)
    assert training.keys("tracked client") == [[update(number, "a") for number in (4, 5, 6)]]
    training.ask(Pattern.P3, update(6, "a"))
    assert training.keys("tracked client") == [[update(6, "a")]]


@pytest.mark.parametrize(("named", "expected"), [([5, 6], [5, 6]), ([4, 5], [4, 5])])
def test_an_update_of_the_open_round_counts_only_where_requests_name_it(named: list[int], expected: list[int]) -> None:
    training = Training()
    training.train(*range(6))
    training.train(6, commit=False)
    training.ask(Pattern.P3, *(update(number, "a") for number in named))
    assert training.keys("tracked client") == [[update(number, "a") for number in expected]]


def test_an_arriving_update_of_a_tracked_client_is_added_where_requests_name_the_open_round() -> None:
    training = Training()
    training.train(*range(6))
    training.train(6, commit=False)
    training.ask(Pattern.P3, update(5, "a"), update(6, "a"))
    tracked = training.demand.add(update(7, "a"), 10)
    assert tracked is not None
    assert list(tracked.group.sizes) == [update(6, "a"), update(7, "a")]
    assert training.demand.add(update(7, "z"), 10) is None


def test_a_client_that_is_tracked_no_more_is_not_brought_up_to_date() -> None:
    training = Training()
    training.train(*range(6), clients="abcde")
    for client in "abcde":
        training.ask(Pattern.P3, update(5, client))
    assert training.demand.add(update(6, "a"), 10) is None
    assert training.demand.add(update(6, "e"), 10) is not None


def test_several_clients_of_one_request_are_tracked_each() -> None:
    training = Training()
    training.train(*range(3))
    training.ask(Pattern.P3, update(1, "a"), update(2, "a"), update(2, "b"), Key(JOB, 2, METADATA))
    assert sorted(training.keys("tracked client")) == [[update(1, "a"), update(2, "a")], [update(2, "b")]]


def test_without_the_index_only_what_was_requested_is_expected() -> None:
    training = Training(index=False)
    training.train(*range(6))
    training.ask(Pattern.P3, *(update(number, "a") for number in (1, 3)))
    assert training.keys("tracked client") == [[update(1, "a"), update(3, "a")]]
    training.train(6)
    assert training.keys("tracked client") == [[update(1, "a"), update(3, "a")]]


def test_without_following_only_what_is_new_is_a_candidate() -> None:
    training = Training(follow=False)
    training.train(*range(6))
    asked: Sequence[tuple[Pattern, Key]] = [
        (Pattern.P1, model(1)),
        (Pattern.P2, update(3, "a")),
        (Pattern.P3, update(5, "a")),
    ]
    for pattern, key in asked:
        assert not training.ask(pattern, key)
    assert training.kinds() <= {"newest round", "newest model", "recent model"}


def test_while_somebody_scans_the_next_request_is_expected_sooner() -> None:
    """A chance per second counts for less time, so what was worth holding by a small chance no longer is."""
    quiet, scanning = Training(), Training()
    for training in (quiet, scanning):
        training.train(*range(30))
        for number in range(20):
            training.ask(Pattern.P1, model(number % 2))
    for number in range(20, 12, -1):
        quiet.ask(Pattern.P1, model(number % 2))
        scanning.ask_round(number)
    assert horizon_of(scanning) < horizon_of(quiet)


def horizon_of(training: Training) -> float:
    """Return the seconds to the next request for which candidates are judged."""
    newest = training.candidates("newest model")[0]
    newest.hazard = watched = Steady(1.0)
    training.demand.judge(training.now)
    return watched.horizons[-1]
