"""The table that carries a plan to gateways and shards."""

import json

from hypothesis import given
from hypothesis import strategies as st

from flstore_core.ids import JobId, ShardId
from flstore_core.placement import Assignment, Shard, Table

MIB = 1 << 20
shard_ids = st.sampled_from([ShardId(name) for name in ("a", "b", "c", "d")])
assignments = st.lists(st.lists(shard_ids, min_size=1, max_size=3, unique=True).map(tuple), min_size=1, max_size=5).map(
    lambda owners: Assignment(tuple(owners), 1)
)
tables = st.builds(
    Table,
    st.integers(0, 10**6),
    st.dictionaries(shard_ids, st.tuples(st.integers(1, 1 << 40), st.text(max_size=10))).map(
        lambda rows: {name: Shard(name, *facts) for name, facts in rows.items()}
    ),
    st.dictionaries(st.sampled_from([JobId("x"), JobId("y")]), assignments),
    st.dictionaries(shard_ids, st.text(max_size=10)),
)


@given(tables)
def test_a_table_comes_back_from_its_json(table: Table) -> None:
    assert Table.from_json(json.loads(json.dumps(table.to_json()))) == table


def test_the_json_of_a_table_is_what_gateways_and_shards_read() -> None:
    holders = (ShardId("a"), ShardId("b"))
    table = Table(
        7,
        {
            ShardId("a"): Shard(ShardId("a"), MIB, "http://127.0.0.1:1"),
            ShardId("b"): Shard(ShardId("b"), MIB, "http://x"),
        },
        {JobId("digits"): Assignment((holders, holders[::-1]), 2)},
    )
    assert Table.from_json(table.to_json()) == table
    assert table.to_json()["jobs"] == {"digits": {"slices": 2, "replicas": 2, "owners": [["a", "b"], ["b", "a"]]}}
    assert table.to_json()["shards"]["a"] == {"url": "http://127.0.0.1:1", "cache_bytes": MIB}


def test_a_table_says_what_each_shard_owns() -> None:
    a, b = ShardId("a"), ShardId("b")
    table = Table(1, {}, {JobId("x"): Assignment(((a,), (b,), (a, b)), 1), JobId("y"): Assignment(((b,),), 1)})
    assert table.owned() == {a: {"x": [0, 2]}, b: {"x": [1, 2], "y": [0]}}


@given(tables)
def test_what_shards_own_is_what_slices_name(table: Table) -> None:
    owned = table.owned()
    copies = sum(len(holders) for assignment in table.jobs.values() for holders in assignment.owners)
    assert sum(len(slices) for jobs in owned.values() for slices in jobs.values()) == copies
    for shard, jobs in owned.items():
        for name, slices in jobs.items():
            assert slices == sorted(slices)
            assert all(shard in table.jobs[name].owners[index] for index in slices)


def test_a_table_written_before_there_were_predictors_is_read() -> None:
    document = Table(3).to_json()
    del document["predictors"]
    assert Table.from_json(document) == Table(3)
