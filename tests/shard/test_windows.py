"""A slice of more models than the cache holds is cut into windows: they tile it, and each takes little memory."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flstore_core import layout
from flstore_core.errors import InsufficientCapacity, InvalidParameters, NotFound, StoreUnavailable
from flstore_core.ids import ClientId
from flstore_core.patterns import Pattern
from flstore_core.shard.loader import Loaded
from flstore_core.shard.protocol import MemberRef
from flstore_core.shard.windows import ALIGNED, MOST, SHARE, Window, window_from
from tests.fakes.store import Call
from tests.shard.test_loader import HOME, World, part, vector

CLIENTS, BUDGET = 12, 400
"""A slice of a model has 40 bytes and 8 elements, so 10 models fit; one element of each of 12 has at most 96 bytes."""


def load(world: World, start: int | None, *members: MemberRef) -> Loaded:
    return world.loader.load(part(), members or world.members, "aggregate", Pattern.P2, start)


def load_all(world: World) -> tuple[list[Loaded], list[list[float]]]:
    """Return all windows of the slice, and each model's elements."""
    windows: list[Loaded] = []
    rows: list[list[float]] = [[] for _ in world.members]
    start = 0
    while start < 8:
        loaded = load(world, start)
        assert loaded.window is not None
        assert loaded.window.start == start
        for row, view in zip(rows, loaded.views, strict=True):
            assert (view.start, view.stop) == (start, loaded.window.stop)
            row += view.whole().tolist()
        windows.append(loaded)
        start = loaded.window.stop
    return windows, rows


def test_the_example_of_the_module_holds() -> None:
    bounds, nbytes, budget = (100, 110), 50 * 4, 1600
    assert 40 * 40 <= budget < 50 * 40
    assert window_from(100, bounds, nbytes, budget) == Window(100, 101)
    assert window_from(109, bounds, nbytes, budget) == Window(109, 110)


@given(
    st.integers(0, 10**9),
    st.integers(1, 10**7),
    st.integers(1, 10**5),
    st.integers(1, 2**32),
)
@example(0, 11_700_000, 400, 512 * 2**20)
def test_windows_tile_a_slice_and_keep_to_their_share(first: int, length: int, nbytes: int, budget: int) -> None:
    bounds, start, count = (first, first + length), first, 0
    while start < bounds[1]:
        window = window_from(start, bounds, nbytes, budget)
        if window is None:
            assert max(budget // SHARE // nbytes, 1) * MOST < length or nbytes > budget
            return
        assert start == window.start < window.stop <= bounds[1]
        width = window.stop - window.start
        assert width * nbytes <= budget / SHARE or (width == 1 and nbytes <= budget)
        assert window.stop == bounds[1] or width < ALIGNED or window.stop % ALIGNED == 0
        start, count = window.stop, count + 1
    assert count <= 2 * MOST + 1


@pytest.mark.parametrize("text", ["", "3", "3-3", "4-3", "a-b", "1-2-3"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Window.from_header(text)


def test_a_window_travels_in_a_header() -> None:
    assert Window.from_header(Window(3, 14).to_header()) == Window(3, 14)


@pytest.mark.parametrize("cached", [0, 1, 5, 10])
def test_the_windows_put_together_are_the_models_wherever_these_lie(cached: int) -> None:
    world = World(CLIENTS, BUDGET)
    for member in world.members[:cached]:
        world.load(part(), member)
    world.reads.clear()
    windows, rows = load_all(world)
    assert rows == [vector(seed).tolist() for seed in range(CLIENTS)]
    assert {loaded.work.hits for loaded in windows} == {cached}
    assert {loaded.work.misses for loaded in windows} == {CLIENTS - cached}
    assert sum(loaded.work.bytes_fetched for loaded in windows) == 40 * (CLIENTS - cached)
    assert sum(loaded.work.bytes_touched for loaded in windows) == 40 * CLIENTS
    assert set(world.reads) == {layout.tensors(HOME, 1, member.client) for member in world.members[cached:]}


def test_what_fits_is_loaded_whole_even_if_a_window_would_do() -> None:
    world = World(10, BUDGET)
    loaded = load(world, 0)
    assert loaded.window is None
    assert [view.whole().tolist() for view in loaded.views] == [vector(seed).tolist() for seed in range(10)]


def test_a_slice_in_windows_is_one_request_of_the_cache_and_its_bytes_count_as_missed() -> None:
    world = World(CLIENTS, BUDGET)
    load_all(world)
    counted = world.cache.snapshot()["P2"]
    assert (counted["requests"], counted["hits"], counted["keys"]) == (1, 0, CLIENTS)
    assert counted["bytes_missed"] == 40 * CLIENTS
    assert not world.cache.keys()


def test_other_bytes_under_a_member_s_name_are_never_part_of_a_window() -> None:
    world = World(CLIENTS, BUDGET)
    world.load(part(), world.members[0])
    world.members[0] = world.put("c0", 77)
    assert load_all(world)[1][0] == vector(77).tolist()


def test_a_store_that_fails_in_a_window_changes_nothing_for_the_next_try() -> None:
    world = World(CLIENTS, BUDGET)

    def fail(call: Call) -> None:
        raise StoreUnavailable("away")

    assert load(world, 0).window == Window(0, 1)
    world.store.before, kept = fail, world.store.before
    with pytest.raises(StoreUnavailable):
        load(world, 1)
    world.store.before = kept
    assert load(world, 1).window == Window(1, 2)
    world.store.delete(layout.tensors(HOME, 1, ClientId("c3")))
    with pytest.raises(NotFound):
        load(world, 2)


@pytest.mark.parametrize("start", [-1, 8, 10**12])
def test_a_window_that_begins_outside_of_the_slice_is_refused(start: int) -> None:
    with pytest.raises(InvalidParameters, match=f"start is {start}; the slice has the elements 0 to 7"):
        load(World(CLIENTS, BUDGET), start)


def test_a_cache_that_holds_not_one_element_of_each_model_is_refused_before_anything_is_read() -> None:
    world = World(CLIENTS, 95)
    with pytest.raises(InsufficientCapacity, match=r"12 slices of 40 bytes .* cache of 95, not even by 1000 windows"):
        load(world, 0)
    assert not world.reads
