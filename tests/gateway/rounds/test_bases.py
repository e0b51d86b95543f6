"""Which model the deltas of a round are taken against: named by a caller, or by the rule, in whatever order."""

import json
from collections.abc import Callable
from hashlib import sha256
from itertools import permutations
from random import Random

import pytest

from flstore_core import layout
from flstore_core.errors import Conflict, InvalidParameters, NotFound
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.patterns import Pattern
from flstore_core.records import Round
from flstore_core.statistics import RoundStatistics
from services.gateway.rounds.bases import base_name
from services.gateway.rounds.statistics import Fitting
from services.gateway.rounds.upload import Upload
from tests.fakes.clock import FakeTime
from tests.fakes.store import Call
from tests.gateway.rounds.world import HOME, JOB, NAME, World, body, gram, world


def put(gateway: World, number: int, client: str, seed: int, base: str | None = None, replace: bool = False) -> None:
    upload = Upload(JOB, number, ClientId(client), memoryview(body(seed)), {}, base=base, replace=replace)
    gateway.ingest.put(upload)


def file_hash(seed: int) -> str:
    return sha256(body(seed)).hexdigest()


def read(gateway: World, number: int) -> Round:
    return gateway.rounds.openings.read_round(JOB, number)


def ask(gateway: World, number: int) -> Fitting:
    """Return what a question about a committed round works with."""
    pairs, _ = gateway.rounds.records.read_committed(JOB, [number], "w", Pattern.P2, statistics=True)
    record, statistics = pairs[0]
    index = gateway.rounds.catalog.read_index(NAME)
    return gateway.statistics.repair(JOB, gateway.rounds.bases.settle(index, record), statistics)


def fill(gateway: World, number: int, aggregate: int | None = None) -> None:
    """Put two updates, and an aggregate of a seed."""
    for client, seed in (("a", 10 * number + 1), ("b", 10 * number + 2)):
        gateway.put(number, client, seed)
    if aggregate is not None:
        gateway.put_aggregate(number, aggregate)


def grams(gateway: World, number: int) -> list[list[float]]:
    statistics = ask(gateway, number).statistics
    assert statistics is not None
    rows: list[list[float]] = statistics.take([ClientId("a"), ClientId("b")]).gram.tolist()
    return rows


def expected(number: int, base: int | None) -> list[list[float]]:
    return gram([10 * number + 1, 10 * number + 2], base)


def life(number: int, chance: Random) -> list[Callable[[World], object]]:
    """Return what happens to a round: uploads in any order, the commit, a question."""
    uploads: list[Callable[[World], object]] = [
        lambda gateway: gateway.put(number, "a", 10 * number + 1),
        lambda gateway: gateway.put(number, "b", 10 * number + 2),
        lambda gateway: gateway.put_aggregate(number, number + 3),
    ]
    chance.shuffle(uploads)
    return [*uploads, lambda gateway: gateway.commit(number), lambda gateway: ask(gateway, number)]


class TestNames:
    """What callers write."""

    @pytest.mark.parametrize(
        ("text", "name"), [("none", "none"), (" None ", "none"), ("4", "4"), ("0", "0"), ("AB" * 32, "ab" * 32)]
    )
    def test_a_base_is_a_round_a_hash_or_none(self, text: str, name: str) -> None:
        assert base_name(text, 5) == name

    @pytest.mark.parametrize("text", ["", "5", "6", "-1", "x", "ab" * 31, "1.0", "round 1"])
    def test_anything_else_is_refused_with_what_would_be_right(self, text: str) -> None:
        with pytest.raises(InvalidParameters, match=r"use the number of a round before 5, .* SHA-256 .* or 'none'"):
            base_name(text, 5)

    def test_the_first_round_has_no_round_before_it(self) -> None:
        with pytest.raises(InvalidParameters, match="base is '0'"):
            base_name("0", 0)
        assert base_name("none", 0) == "none"

    def test_sixty_four_digits_are_a_hash(self) -> None:
        assert base_name("1" * 64, 5) == "1" * 64


class TestOrder:
    """Nobody names a base."""

    @pytest.mark.parametrize("order", [*permutations(range(4))])
    def test_rounds_committed_in_any_order_have_the_same_answers(self, order: tuple[int, ...]) -> None:
        gateway = world()
        for number in order:
            fill(gateway, number, aggregate=number + 3 if number != 2 else None)
            gateway.commit(number)
        for reader in (gateway, World.make(gateway.store)):
            assert [read(reader, number).base for number in range(4)] == [None, 0, 1, 1]
            for number, base in enumerate((None, 3, 4, 4)):
                assert grams(reader, number) == expected(number, base)

    @pytest.mark.parametrize("seed", range(12))
    def test_uploads_commits_and_questions_may_come_in_any_order(self, seed: int) -> None:
        time, chance = FakeTime(), Random(seed)
        gateway = world(time=time)
        other = World.make(gateway.store, time)
        steps = {number: life(number, chance) for number in range(4)}
        while steps:
            number = chance.choice(sorted(steps))
            steps[number].pop(0)(chance.choice((gateway, other)))
            if not steps[number]:
                del steps[number]
        time.sleep(20.0)  # listings may be old for ten seconds
        for reader in (gateway, other, World.make(gateway.store)):
            for number, base in enumerate((None, 3, 4, 5)):
                assert grams(reader, number) == expected(number, base)

    def test_the_example_of_the_module(self) -> None:
        gateway = world()
        fill(gateway, 0, aggregate=5)
        gateway.commit(0)
        fill(gateway, 2)
        assert gateway.commit(2).base == 0
        fill(gateway, 1, aggregate=6)
        gateway.commit(1)
        record = read(gateway, 2)
        assert (record.base, record.base_sha256) == (1, file_hash(6))

    def test_an_open_round_follows_too(self) -> None:
        gateway = world()
        fill(gateway, 1)
        assert (read(gateway, 1).base, read(gateway, 1).base_sha256) == (None, None)
        gateway.put_aggregate(0, 5)
        gateway.commit(0)
        record = read(gateway, 1)
        assert (record.base, record.base_sha256) == (0, file_hash(5))
        statistics, _ = gateway.statistics.compute(JOB, record)
        assert statistics is not None
        assert statistics.gram.tolist() == expected(1, 5)

    def test_slices_are_sent_with_the_base_that_is_known_meanwhile(self) -> None:
        gateway = world()
        gateway.put(1, "a", 11)
        gateway.put_aggregate(0, 5)
        gateway.commit(0)
        gateway.put(1, "b", 12)
        bases = {
            str(client): base for (_, number, client), (_, base) in gateway.backends.shards.slices.items() if number
        }
        assert bases["a"] is None
        assert bases["b"] is not None
        assert bases["b"].sha256 == file_hash(5)

    def test_statistics_are_taken_anew_once_and_stored(self) -> None:
        gateway = world()
        fill(gateway, 1)
        gateway.commit(1)
        assert not ask(gateway, 1).computed
        fill(gateway, 0, aggregate=5)
        gateway.commit(0)
        assert [ask(gateway, 1).computed, ask(gateway, 1).computed] == [True, False]
        assert not ask(World.make(gateway.store), 1).computed

    def test_a_gateway_that_has_not_heard_of_a_base_does_not_undo_what_another_has_stored(self) -> None:
        gateway = world(refresh_seconds=1e9)
        fill(gateway, 0, aggregate=3)
        gateway.commit(0)
        fill(gateway, 2)
        gateway.commit(2)
        other = World.make(gateway.store)
        fill(other, 1, aggregate=4)
        other.commit(1)
        assert grams(other, 2) == expected(2, 4)
        gateway.cache.discard_job(HOME)  # the stale one has to read what the other has stored
        fitting = ask(gateway, 2)
        assert (fitting.computed, fitting.record.base) == (False, 1)

    @pytest.mark.parametrize("then", ["replaced", "taken back", "committed without"])
    def test_the_aggregate_of_an_open_round_is_looked_at_when_it_is_used(self, then: str) -> None:
        gateway = world()
        gateway.put(0, "a", 9)
        gateway.put_aggregate(0, 5)
        fill(gateway, 1)
        gateway.commit(1)
        assert grams(gateway, 1) == expected(1, 5)
        if then == "replaced":
            gateway.put(0, AGGREGATE, 6, replace=True)
        else:
            gateway.drop(0, AGGREGATE)
        if then == "committed without":
            gateway.commit(0)
        assert grams(gateway, 1) == expected(1, 6 if then == "replaced" else None)

    def test_what_version_010_has_stored_follows_too(self) -> None:
        gateway = world()
        fill(gateway, 1)
        gateway.commit(1)
        forget_inputs(gateway, 1)
        assert (ask(World.make(gateway.store), 1).computed, grams(World.make(gateway.store), 1)) == (
            False,
            expected(1, None),
        )
        fill(gateway, 0, aggregate=5)
        gateway.commit(0)
        assert grams(World.make(gateway.store), 1) == expected(1, 5)
        assert not ask(World.make(gateway.store), 1).computed


def forget_inputs(gateway: World, number: int) -> None:
    """Store a round and its statistics as version 0.1.0 did."""
    key, statistics = layout.round_record(HOME, number), gateway.stored_statistics(number)
    assert statistics is not None
    record = json.loads(gateway.store.contents[key])
    del record["base_sha256"]
    gateway.store.put(key, json.dumps(record).encode())
    bare = RoundStatistics(statistics.members, statistics.gram, statistics.squares)
    gateway.store.put(layout.statistics(HOME, number), bare.to_bytes())


class TestNamed:
    """A caller names the base."""

    @pytest.fixture
    def gateway(self) -> World:
        """Return a gateway with rounds 0 and 1, committed with the aggregates 3 and 4."""
        gateway = world()
        for number in (0, 1):
            fill(gateway, number, aggregate=number + 3)
            gateway.commit(number)
        return gateway

    @pytest.mark.parametrize(
        ("named", "base"), [("0", 3), ("1", 4), (file_hash(3), 3), (file_hash(4), 4), ("none", None), (None, 4)]
    )
    @pytest.mark.parametrize("by", ["first upload", "second upload", "commit"])
    def test_deltas_are_taken_against_what_was_named(
        self, gateway: World, named: str | None, base: int | None, by: str
    ) -> None:
        put(gateway, 2, "a", 21, named if by == "first upload" else None)
        put(gateway, 2, "b", 22, named if by == "second upload" else None)
        record = gateway.commit(2, base=named if by == "commit" else None)
        assert (record.base_named, record.base) == (named, base if base is None else base - 3)
        assert record.base_sha256 == (file_hash(base) if base else None)
        for reader in (gateway, World.make(gateway.store)):
            assert grams(reader, 2) == expected(2, base)
            assert read(reader, 2) == record

    @pytest.mark.parametrize(
        ("first", "second"), [("0", "1"), ("0", "none"), ("none", "1"), (file_hash(3), "1"), ("1", file_hash(3))]
    )
    def test_another_base_for_the_same_round_is_refused_and_both_are_named(
        self, gateway: World, first: str, second: str
    ) -> None:
        put(gateway, 2, "a", 21, first)
        with pytest.raises(Conflict, match=f"is {first}, and this names {second}; .* replace=true") as caught:
            put(gateway, 2, "b", 22, second)
        assert caught.value.extensions == {"base": first, "named": second}
        with pytest.raises(Conflict, match=f"is {first}, and this names {second}"):
            put(gateway, 2, "a", 21, second)
        with pytest.raises(Conflict, match=f"is {first}, and this names {second}"):
            gateway.commit(2, base=second)
        assert [member.client for member in read(gateway, 2).members] == ["a"]
        assert not gateway.rounds.openings.has_commit_begun(JOB, 2)

    @pytest.mark.parametrize("second", ["1", file_hash(4)])
    def test_one_model_may_be_named_in_two_ways(self, gateway: World, second: str) -> None:
        put(gateway, 2, "a", 21, "1")
        put(gateway, 2, "b", 22, second)
        put(gateway, 2, "a", 21, second)
        assert gateway.commit(2, base=second).base == 1
        assert gateway.commit(2, base=second).base == 1

    def test_who_names_none_agrees_with_any(self, gateway: World) -> None:
        put(gateway, 2, "a", 21, "0")
        put(gateway, 2, "b", 22)
        gateway.put_aggregate(2, 5)
        assert gateway.commit(2).base == 0

    def test_the_base_of_an_open_round_can_be_replaced(self, gateway: World) -> None:
        put(gateway, 2, "a", 21, "0")
        put(gateway, 2, "a", 21, "1", replace=True)
        assert gateway.commit(2).base == 1

    def test_once_a_commit_has_begun_another_base_comes_too_late(self, gateway: World) -> None:
        put(gateway, 2, "a", 21)
        gateway.rounds.openings.mark_commit(JOB, 2)
        with pytest.raises(Conflict, match=r"is 1, and this names 0; all updates of a round share one base$"):
            put(gateway, 2, "a", 21, "0", replace=True)

    @pytest.mark.parametrize("named", ["1", file_hash(4), None])
    def test_a_repeat_after_the_commit_is_answered_as_the_first_was(self, gateway: World, named: str | None) -> None:
        put(gateway, 2, "a", 21)
        record = gateway.commit(2)
        put(gateway, 2, "a", 21, named)
        assert gateway.commit(2, base=named) == record

    @pytest.mark.parametrize("named", ["0", "none"])
    def test_another_base_after_the_commit_is_refused(self, gateway: World, named: str) -> None:
        put(gateway, 2, "a", 21)
        gateway.commit(2)
        with pytest.raises(Conflict, match=f"is 1, and this names {named}"):
            gateway.commit(2, base=named)
        with pytest.raises(Conflict, match=f"is 1, and this names {named}"):
            put(gateway, 2, "a", 21, named)

    def test_no_base_is_what_a_round_without_one_has(self) -> None:
        gateway = world()
        gateway.put(0, "a", 1)
        record = gateway.commit(0)
        assert gateway.commit(0, base="none") == record

    @pytest.mark.parametrize(("number", "named"), [(0, "none"), (1, "0"), (1, file_hash(3))])
    def test_a_record_that_does_not_say_what_its_base_was_agrees_too(
        self, gateway: World, number: int, named: str
    ) -> None:
        forget_inputs(gateway, number)
        reader = World.make(gateway.store)
        reader.commit(number, base=named)
        with pytest.raises(Conflict, match=f"and this names {'0' if named == 'none' else 'none'}"):
            reader.commit(number, base="none" if number else "0")

    def test_what_was_named_is_found_by_its_hash_where_models_repeat(self, gateway: World) -> None:
        gateway.put_aggregate(2, 3)
        gateway.commit(2)
        put(gateway, 3, "a", 31, file_hash(3))
        assert gateway.commit(3).base == 2
        put(gateway, 4, "a", 41, "0")
        put(gateway, 4, "b", 42, file_hash(3))
        assert gateway.commit(4).base == 0

    @pytest.mark.parametrize("ask_first", [False, True])
    def test_a_round_that_has_no_aggregate_yet_is_waited_for(self, gateway: World, ask_first: bool) -> None:
        put(gateway, 5, "a", 51, "3")
        put(gateway, 5, "b", 52, "3")
        record = gateway.commit(5)
        assert (record.base, record.base_named) == (None, "3")
        if ask_first:
            assert grams(gateway, 5) == expected(5, None)
        gateway.put_aggregate(4, 8)
        gateway.commit(4)
        assert grams(gateway, 5) == expected(5, None)
        gateway.put_aggregate(3, 7)
        assert grams(gateway, 5) == expected(5, 7)
        gateway.commit(3)
        assert grams(gateway, 5) == expected(5, 7)
        assert (read(gateway, 5).base, read(World.make(gateway.store), 5).base) == (3, 3)

    def test_two_rounds_that_are_waited_for_are_two_bases(self, gateway: World) -> None:
        put(gateway, 5, "a", 51, "3")
        for other in ("4", "none"):
            with pytest.raises(Conflict, match=f"is 3, and this names {other}"):
                put(gateway, 5, "b", 52, other)

    def test_a_hash_that_no_aggregate_has_is_refused(self, gateway: World) -> None:
        with pytest.raises(NotFound, match=r"no aggregate of job 'job' before round 2 has the SHA-256 .*; store that"):
            put(gateway, 2, "a", 21, file_hash(9))
        with pytest.raises(NotFound):
            read(gateway, 2)

    def test_a_hash_of_an_open_round_is_known(self, gateway: World) -> None:
        gateway.put_aggregate(2, 9)
        put(gateway, 3, "a", 31, file_hash(9))
        put(gateway, 3, "b", 32)
        record = gateway.commit(3)
        assert (record.base, grams(gateway, 3)) == (2, expected(3, 9))

    def test_an_open_aggregate_named_by_hash_and_replaced_is_no_base_any_more(self, gateway: World) -> None:
        gateway.put_aggregate(2, 9)
        put(gateway, 3, "a", 31, file_hash(9))
        put(gateway, 3, "b", 32)
        gateway.commit(3)
        gateway.put(2, AGGREGATE, 8, replace=True)
        assert grams(gateway, 3) == expected(3, None)
        with pytest.raises(NotFound, match="named as the base"):
            gateway.rounds.openings.mark_commit(JOB, 3)

    def test_a_hash_is_found_that_another_gateway_has_committed(self, gateway: World) -> None:
        gateway.rounds.catalog.read_index(NAME)
        other = World.make(gateway.store)
        other.put_aggregate(2, 9)
        other.commit(2)
        put(gateway, 3, "a", 31, file_hash(9))
        assert read(gateway, 3).base == 2

    def test_who_names_no_base_pays_for_no_look_at_the_store(self, gateway: World) -> None:
        gateway.put(2, "a", 21)
        calls: list[Call] = []
        gateway.store.before = calls.append
        gateway.put(2, "b", 22)
        plain = len(calls)
        put(gateway, 3, "a", 31, "1")
        calls.clear()
        put(gateway, 3, "b", 32, "1")
        assert len(calls) == plain == 6

    def test_two_who_name_bases_at_once_agree_or_one_is_refused(self, gateway: World) -> None:
        gateway.put(2, "a", 21)

        def name_first(call: Call) -> None:
            if call == Call("put", layout.opening(HOME, 2)):
                gateway.store.before = lambda call: None
                put(World.make(gateway.store), 2, "b", 22, "0")

        gateway.store.before = name_first
        with pytest.raises(Conflict, match="is 0, and this names 1"):
            put(gateway, 2, "c", 23, "1")
        assert read(gateway, 2).base == 0
