"""A round's statistics grow row by row: whatever the order of events, they are those of the members asked for."""

import itertools
from collections.abc import Container, Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from numpy.typing import NDArray

from flstore_core.flat import FlatView
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.schema import Run, Segment
from flstore_core.shard.accumulator import FOLD, Accumulator
from flstore_core.shard.loader import Piece
from flstore_core.shard.protocol import MemberRef
from flstore_core.statistics import RoundStatistics

SEGMENTS = (Segment("a", 0, 3), Segment("b", 3, 8))
SIZE = 8
BASE = MemberRef(0, AGGREGATE, "base", 0)


def values_of(member: MemberRef) -> NDArray[np.float32]:
    """Small integers that follow from a member's content hash: exact in every order of summation."""
    seed = sum(map(ord, member.sha256))
    return np.random.default_rng(seed).integers(-9, 10, SIZE).astype(np.float32)


def member(client: str, version: str = "1", is_delta: bool = False) -> MemberRef:
    return MemberRef(1, ClientId(client), f"{client}-{version}", 0, is_delta=is_delta)


def expected(members: Sequence[MemberRef], base: MemberRef | None) -> RoundStatistics:
    """By the definition, in float64."""
    origin = values_of(base).astype(float) if base else np.zeros(SIZE)
    deltas = np.array([values_of(each) - (0 if each.is_delta else origin) for each in members], np.float64)
    deltas = deltas.reshape(len(members), SIZE)
    squares = np.array([[(delta[s.start : s.stop] ** 2).sum() for s in SEGMENTS] for delta in deltas])
    names = tuple(each.client for each in members)
    return RoundStatistics(names, deltas @ deltas.T, squares.reshape(len(members), len(SEGMENTS)))


def same(one: RoundStatistics, other: RoundStatistics) -> None:
    assert one.members == other.members
    np.testing.assert_array_equal(one.gram, other.gram)
    np.testing.assert_array_equal(one.squares, other.squares)


class Shelf:
    """Stands for cache and store: members by whether they are cached, each read counted."""

    def __init__(self, pieces: int = 1) -> None:
        self.cached: set[MemberRef] = set()
        self.reads: list[list[str]] = []
        self._pieces = pieces

    def read(self, members: Sequence[MemberRef], stored: Container[MemberRef]) -> Iterable[Piece] | None:
        if any(each not in self.cached and each not in stored for each in members):
            return None
        self.reads.append([each.client for each in members])
        return self._read(members)

    def _read(self, members: Sequence[MemberRef]) -> Iterable[Piece]:
        edges = np.linspace(0, SIZE, self._pieces + 1).astype(int).tolist()
        for first, last in itertools.pairwise(edges):
            run = Run(first, last - first, "F32", 4 * first)
            views = [FlatView(values_of(each)[first:last].view(np.uint8), [run]) for each in members]
            yield (first, last), views


def test_the_example_of_the_module_holds() -> None:
    vectors = {"base": (1, 1), "a": (2, 3), "b": (4, 5), "c": (2, 1)}

    def read(members: Sequence[MemberRef], stored: Container[MemberRef]) -> Iterable[Piece]:
        run = Run(0, 2, "F32", 0)
        yield (0, 2), [FlatView(np.array(vectors[each.sha256], np.float32).view(np.uint8), [run]) for each in members]

    a, b, c = (MemberRef(1, ClientId(name), name, 0) for name in "abc")
    accumulator = Accumulator(BASE, [Segment("w", 0, 2)], read)
    assert accumulator.statistics([a, b]).gram.tolist() == [[5, 11], [11, 25]]
    assert accumulator.statistics([a, b, c]).gram.tolist() == [[5, 11, 1], [11, 25, 3], [1, 3, 1]]


@pytest.mark.parametrize("pieces", [1, 2, 8])
@pytest.mark.parametrize("base", [None, BASE])
def test_the_pieces_in_which_models_are_read_do_not_matter(pieces: int, base: MemberRef | None) -> None:
    members = [member(f"c{index}") for index in range(7)]
    accumulator = Accumulator(base, SEGMENTS, Shelf(pieces).read)
    same(accumulator.statistics(members), expected(members, base))


@pytest.mark.parametrize("pieces", [1, 8])
def test_the_base_is_subtracted_from_models_and_not_from_what_is_a_delta_already(pieces: int) -> None:
    members = [*(member(f"c{index}", is_delta=True) for index in range(FOLD)), member("aggregate")]
    shelf = Shelf(pieces)
    accumulator = Accumulator(BASE, SEGMENTS, shelf.read)
    same(accumulator.statistics(members), expected(members, BASE))
    same(Accumulator(BASE, SEGMENTS, shelf.read).statistics(members[:-1]), expected(members[:-1], None))
    assert shelf.reads[-1] == [f"c{index}" for index in range(FOLD)], "a base that nobody needs is not read"


def test_members_are_folded_in_together_as_soon_as_enough_wait() -> None:
    shelf = Shelf()
    accumulator = Accumulator(None, SEGMENTS, shelf.read)
    members = [member(f"c{index}") for index in range(2 * FOLD)]
    for count, each in enumerate(members, start=1):
        shelf.cached.add(each)
        accumulator.add(each)
        assert len(shelf.reads) == count // FOLD
    assert [len(read) for read in shelf.reads] == [FOLD, 2 * FOLD]
    same(accumulator.statistics(members), expected(members, None))
    assert len(shelf.reads) == 2, "everything was folded in already"


def test_a_member_that_left_the_cache_waits_until_the_store_is_known_to_have_it() -> None:
    shelf = Shelf()
    accumulator = Accumulator(None, SEGMENTS, shelf.read)
    members = [member(f"c{index}") for index in range(FOLD)]
    for each in members:
        accumulator.add(each)
    assert not shelf.reads, "none is cached, and none was acknowledged"
    same(accumulator.statistics(members), expected(members, None))


def test_other_bytes_under_the_same_name_replace_the_row() -> None:
    shelf = Shelf()
    accumulator = Accumulator(None, SEGMENTS, shelf.read)
    first = [member(f"c{index}") for index in range(FOLD)]
    shelf.cached.update(first)
    for each in first:
        accumulator.add(each)
    again = member("c2", "2")
    wanted = [again if each.client == "c2" else each for each in first]
    same(accumulator.statistics(wanted), expected(wanted, None))
    same(accumulator.statistics(first), expected(first, None))


def test_rows_that_the_store_may_lack_are_not_multiplied_with() -> None:
    shelf = Shelf()
    accumulator = Accumulator(None, SEGMENTS, shelf.read)
    lost = [member(f"lost{index}") for index in range(FOLD)]
    shelf.cached.update(lost)
    for each in lost:
        accumulator.add(each)
    shelf.cached.clear()
    shelf.reads.clear()
    kept = [member("kept")]
    same(accumulator.statistics(kept), expected(kept, None))
    assert shelf.reads == [["kept"]]


def test_no_members_have_empty_statistics() -> None:
    statistics = Accumulator(BASE, SEGMENTS, Shelf().read).statistics([])
    assert statistics.members == ()
    assert statistics.gram.shape == (0, 0)
    assert statistics.squares.shape == (0, 2)


@given(st.permutations([f"c{index}" for index in range(6)]), st.integers(1, 6))
def test_rows_come_in_the_order_asked_for(order: list[str], count: int) -> None:
    shelf = Shelf()
    accumulator = Accumulator(BASE, SEGMENTS, shelf.read)
    for index in range(6):
        shelf.cached.add(member(f"c{index}"))
        accumulator.add(member(f"c{index}"))
    members = [member(name) for name in order[:count]]
    same(accumulator.statistics(members), expected(members, BASE))


class Uploads(RuleBasedStateMachine):
    """Uploads arrive, are evicted, come again with other bytes, and are acknowledged or not, in any order."""

    arrived = Bundle("arrived")

    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf(pieces=2)
        self.accumulator = Accumulator(BASE, SEGMENTS, self.shelf.read)
        self.stored: dict[str, MemberRef] = {}

    @rule(target=arrived, client=st.sampled_from("abcdefg"), version=st.sampled_from("12"))
    def upload(self, client: str, version: str) -> MemberRef:
        upload = member(client, version)
        self.shelf.cached.add(upload)
        self.accumulator.add(upload)
        return upload

    @rule(upload=arrived)
    def acknowledge(self, upload: MemberRef) -> None:
        self.stored[upload.client] = upload

    @rule(upload=arrived)
    def evict(self, upload: MemberRef) -> None:
        self.shelf.cached.discard(upload)

    @rule()
    def ask(self) -> None:
        members = list(self.stored.values())
        same(self.accumulator.statistics(members), expected(members, BASE))

    @invariant()
    def no_read_reaches_what_nobody_has(self) -> None:
        for read in self.shelf.reads:
            assert len(read) == len(set(read)), "one model was read twice at once"


TestUploads = Uploads.TestCase
TestUploads.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
