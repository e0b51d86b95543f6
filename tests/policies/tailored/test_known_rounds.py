"""The index of rounds against a plain list of everything that was added."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.policies.tailored import known_rounds
from flstore_core.policies.tailored.known_rounds import Group, KnownRounds
from tests.policies.tailored.parts import model, update, updates

added = st.lists(st.tuples(st.integers(0, 12), st.sampled_from("abc")), max_size=25)


def known(*rounds: int, clients: str = "ab", committed: bool = True) -> KnownRounds:
    """Return rounds with an update of ten bytes from each client and an aggregate of seven."""
    rounds_known = KnownRounds()
    for number in rounds:
        for client in clients:
            rounds_known.add(update(number, client), 10)
        rounds_known.add(model(number), 7)
        if committed:
            rounds_known.commit(number)
    return rounds_known


@given(added, st.sets(st.integers(0, 12)), st.integers(1, 5), st.booleans())
def test_last_updates_are_those_of_the_clients_last_rounds(
    pairs: list[tuple[int, str]], committed: set[int], count: int, with_open: bool
) -> None:
    rounds = KnownRounds()
    for number, client in pairs:
        rounds.add(update(number, client), 10 + number)
    for number in sorted(committed):
        rounds.commit(number)
    newest = max(committed, default=-1)
    for client in "abc":
        took_part = sorted({number for number, who in pairs if who == client and (with_open or number <= newest)})
        expected = {update(number, client): 10 + number for number in took_part[-count:]}
        assert rounds.last_updates(client, count, with_open).sizes == expected
        assert rounds.has_open_update(client) == any(who == client and number > newest for number, who in pairs)


@given(added)
def test_the_order_in_which_rounds_arrive_does_not_matter(pairs: list[tuple[int, str]]) -> None:
    forward, backward = KnownRounds(), KnownRounds()
    for number, client in pairs:
        forward.add(update(number, client), 10)
    for number, client in reversed(pairs):
        backward.add(update(number, client), 10)
    for client in "abc":
        assert forward.last_updates(client, 3, True).sizes == backward.last_updates(client, 3, True).sizes


def test_updates_are_grouped_by_round_and_the_aggregate_stands_alone() -> None:
    rounds = known(3)
    assert rounds.updates(3).sizes == updates(3).sizes
    assert rounds.updates(3).bytes == 20
    assert rounds.group([model(3)]).sizes == {model(3): 7}


def test_a_round_that_is_open_or_unknown_has_no_committed_updates() -> None:
    rounds = known(3, committed=False)
    assert rounds.committed_updates(3).sizes == rounds.committed_updates(4).sizes == rounds.updates(4).sizes == {}
    assert rounds.updates(3).bytes == 20
    rounds.commit(3)
    assert rounds.committed_updates(3) is rounds.updates(3)


def test_a_commit_out_of_order_leaves_the_newest_round_the_newest() -> None:
    rounds = known(5)
    assert rounds.commit(2).committed
    assert rounds.newest == 5


def test_an_update_sent_again_keeps_its_first_size_and_an_aggregate_takes_its_last() -> None:
    rounds = known(3)
    rounds.add(update(3, "a"), 99)
    rounds.add(model(3), 8)
    assert rounds.updates(3).bytes == 20
    assert (rounds.group([model(3)]).sizes, rounds.group([model(3)]).bytes) == ({model(3): 8}, 8)


def test_a_group_of_keys_has_those_that_exist() -> None:
    rounds = known(3, 4)
    keys = [model(3), model(4), model(9), update(3, "a"), update(3, "z"), update(9, "a")]
    assert rounds.group(keys).sizes == {model(3): 7, model(4): 7, update(3, "a"): 10}
    assert rounds.group([]).bytes == 0


def test_everybody_who_names_the_same_model_shares_its_group() -> None:
    rounds = known(3)
    assert rounds.group([model(3)]) is rounds.group([model(3)])
    assert rounds.group([model(3), model(3)]) is not rounds.group([model(3)])


def test_a_group_counts_an_object_once_when_its_size_changes() -> None:
    group = Group({update(1): 10})
    group.add(update(1), 4)
    group.add(update(2), 5)
    assert (group.bytes, group.sizes) == (9, {update(1): 4, update(2): 5})


def test_the_oldest_round_is_forgotten_and_its_clients_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_rounds, "MOST_ROUNDS", 2)
    rounds = known(1, 2)
    rounds.add(update(1, "once"), 10)
    for client in "ab":
        rounds.add(update(3, client), 10)
    assert rounds.updates(1).sizes == {}
    assert rounds.last_updates("a", 5, True).sizes == {update(2, "a"): 10, update(3, "a"): 10}
    assert not rounds.has_open_update("once")
    assert rounds.last_updates("once", 5, True).sizes == {}
