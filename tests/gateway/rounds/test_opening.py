"""How rounds are opened, and open rounds read."""

import json

import pytest

from flstore_core import layout
from flstore_core.errors import NotFound
from flstore_core.records import Round
from services.gateway.rounds.opening import Opening
from tests.fakes.store import Call
from tests.gateway.rounds.world import HOME, JOB, NAME, World, world


def stored_opening(gateway: World, number: int) -> object:
    return json.loads(gateway.store.contents[layout.opening(HOME, number)])


@pytest.mark.parametrize("opening", [Opening(None), Opening(3), Opening(0, commit_begun=True)])
def test_an_opening_comes_back_as_it_was_stored(opening: Opening) -> None:
    assert Opening.from_json(opening.to_json()) == opening


def test_readers_ignore_what_they_do_not_know() -> None:
    assert Opening.from_json({"base": 2, "closing": True, "later": "x"}) == Opening(2, commit_begun=True)


class TestOpening:
    """The first thing put into a round."""

    def test_the_first_caller_writes_and_the_next_reads(self) -> None:
        gateway = world()
        assert gateway.rounds.openings.open_round(JOB, 4) == Opening(None)
        assert stored_opening(gateway, 4) == {"base": None, "closing": False}
        gateway.store.put(layout.opening(HOME, 4), json.dumps({"base": 1, "closing": False}).encode())
        assert gateway.rounds.openings.open_round(JOB, 4) == Opening(1)

    def test_who_loses_the_race_to_open_takes_the_winners_base(self) -> None:
        gateway = world()

        def open_first(call: Call) -> None:
            if call == Call("put", layout.opening(HOME, 4)):
                gateway.store.before = lambda call: None
                gateway.store.put(call.key, json.dumps({"base": 2, "closing": False}).encode())

        gateway.store.before = open_first
        assert gateway.rounds.openings.open_round(JOB, 4) == Opening(2)

    @pytest.mark.parametrize(
        ("committed", "still_open", "base_of_5"),
        [
            ([], [], None),
            ([0, 2], [], 2),
            ([0], [2], 2),
            ([2], [0], 2),
            ([0], [], 0),
            ([], [1, 3], 3),
            ([7], [8], None),
            ([0, 9], [4, 8], 4),
            ([], [5], None),
        ],
    )
    def test_the_base_is_the_newest_earlier_aggregate(
        self, committed: list[int], still_open: list[int], base_of_5: int | None
    ) -> None:
        gateway = world()
        for number in committed:
            gateway.put_aggregate(number, 1)
            gateway.commit(number)
        for number in still_open:
            gateway.put_aggregate(number, 1)
        assert gateway.rounds.openings.open_round(JOB, 5).base == base_of_5

    def test_rounds_without_an_aggregate_are_no_base(self) -> None:
        gateway = world()
        gateway.put_aggregate(0, 1)
        for number in (1, 2):
            gateway.put(number, "c", 2)
        gateway.commit(1)
        assert gateway.rounds.openings.open_round(JOB, 3).base == 0


class TestCommitMark:
    """What a commit leaves in the opening as it begins."""

    def test_the_mark_keeps_the_base(self) -> None:
        gateway = world()
        openings = gateway.rounds.openings
        gateway.put_aggregate(0, 1)
        openings.open_round(JOB, 1)
        assert openings.has_commit_begun(JOB, 1) is False
        assert openings.mark_commit(JOB, 1).base == 0
        assert openings.has_commit_begun(JOB, 1) is True
        assert stored_opening(gateway, 1) == {"base": 0, "closing": True}

    def test_a_round_that_nobody_has_opened_is_opened_with_the_mark(self) -> None:
        gateway = world()
        gateway.put_aggregate(0, 1)
        assert gateway.rounds.openings.mark_commit(JOB, 1).base == 0
        assert stored_opening(gateway, 1) == {"base": 0, "closing": True}

    def test_a_round_that_is_gone_has_no_mark(self) -> None:
        with pytest.raises(NotFound, match="round 3 of job 'job' does not exist"):
            world().rounds.openings.has_commit_begun(JOB, 3)


class TestReading:
    """Rounds read whole, open or committed."""

    def test_an_open_round_is_read_as_it_stands(self) -> None:
        gateway = world()
        gateway.put_aggregate(0, 5)
        for client, seed in (("b", 2), ("a", 1)):
            gateway.put(1, client, seed)
        gateway.put_aggregate(1, 6)
        round_ = gateway.rounds.openings.read_round(JOB, 1)
        assert [member.client for member in round_.members] == ["a", "b"]
        assert (round_.base, round_.aggregate == gateway.stored_member(1, "aggregate")) == (0, True)
        assert not round_.committed

    def test_reading_a_round_that_was_never_opened_opens_none(self) -> None:
        gateway = world()
        with pytest.raises(NotFound, match="round 3 of job 'job' does not exist"):
            gateway.rounds.openings.read_open(JOB, 3)
        assert list(gateway.store.contents) == [layout.job(NAME)]

    def test_a_committed_round_is_its_record(self) -> None:
        gateway = world()
        gateway.put(0, "a", 1)
        record = gateway.commit(0, metrics={"accuracy": 0.5})
        assert gateway.rounds.openings.read_round(JOB, 0) == record

    def test_an_unknown_round_is_told_with_the_nearest(self) -> None:
        gateway = world()
        gateway.put(12, "a", 1)
        with pytest.raises(NotFound, match="round of job 'job': '13' does not exist; nearest: 12"):
            gateway.rounds.openings.read_round(JOB, 13)

    def test_a_round_opened_through_another_gateway_is_found_at_once(self) -> None:
        gateway = world()
        gateway.rounds.catalog.read_index(NAME)
        World.make(gateway.store).put(0, "a", 1)
        assert [member.client for member in gateway.rounds.openings.read_round(JOB, 0).members] == ["a"]

    def test_a_round_committed_elsewhere_while_it_is_looked_for_is_found(self) -> None:
        gateway, record_key = world(), layout.round_record(HOME, 0)
        other = World.make(gateway.store)
        committed: list[Round] = []

        def commit_meanwhile(call: Call) -> None:
            if call == Call("get_with_info", record_key):
                gateway.store.after = lambda call: None
                other.put(0, "a", 1)
                committed.append(other.commit(0))

        gateway.rounds.catalog.read_index(NAME)
        gateway.store.after = commit_meanwhile
        assert [gateway.rounds.openings.read_round(JOB, 0)] == committed
