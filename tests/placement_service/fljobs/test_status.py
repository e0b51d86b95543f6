"""What an object's status shows, from facts."""

from typing import Any

from flstore_core.ids import ShardId
from flstore_core.placement import Assignment
from services.placement.fljobs.status import (
    MESSAGE_CHARS,
    NOT_DEGRADED,
    Condition,
    Facts,
    make_degraded,
    make_placed,
    make_ready,
    make_status,
)
from services.placement.fljobs.usage import Durable
from services.placement.fljobs.warmth import Hot
from services.placement.runtime.base import BackendState, Phase
from tests.kubernetes.definition import admitted
from tests.kubernetes.world import MIB, fljob, job

ONE, TWO = ShardId("shard-1"), ShardId("shard-2")
NOW = 1_790_000_000.0
STAMP = "2026-09-21T14:13:20Z"
PLACED = make_placed(Assignment(((ONE,), (TWO,)), 1))
ALL_WELL = [make_ready(PLACED), PLACED, NOT_DEGRADED]


def state(shard: ShardId, phase: Phase, trouble: str | None = None) -> BackendState:
    return BackendState(shard, phase, "http://x", trouble=trouble)


def test_placed_says_how_many_slices_lie_where_and_how_often() -> None:
    assert make_placed(Assignment(((TWO,),), 1)).message == "1 slice on shard-2"
    assert make_placed(Assignment(((TWO, ONE), (ONE, TWO)), 2)).message == "2 slices on shard-1, shard-2, 2 times"


def test_ready_follows_from_placed() -> None:
    assert make_ready(PLACED) == Condition("Ready", True, "Serving", "rounds can be put and workloads run")
    assert make_ready(Condition("Placed", False, "Why", "because")) == Condition("Ready", False, "Why", "because")


def test_degraded_puts_failing_shards_before_other_complaints() -> None:
    holders = [state(ONE, Phase.AWAKE), state(TWO, Phase.FAILED, "OutOfMemory: raise it")]
    assert make_degraded(holders, [("Forbidden", "may not")]) == Condition(
        "Degraded", True, "ShardFailed", "shard-2: OutOfMemory: raise it; may not"
    )
    assert make_degraded(holders[:1], [("Forbidden", "may not")]).reason == "Forbidden"
    assert make_degraded(holders[:1], []) == NOT_DEGRADED


def test_a_placed_job_shows_all_its_figures() -> None:
    facts = Facts(
        job("digits"),
        Assignment(((ONE, TWO), (TWO, ONE)), 2),
        Durable(committed=3, open=1, latest=7, nbytes=5 * MIB),
        Hot(2 * MIB, 0.875),
        [state(ONE, Phase.AWAKE), state(TWO, Phase.ZERO)],
    )
    item = fljob("digits")
    item["metadata"]["generation"] = 4
    status = make_status(item, facts, ALL_WELL, NOW)
    assert [condition["type"] for condition in status.pop("conditions")] == ["Ready", "Placed", "Degraded"]
    assert status == {
        "job": "digits",
        "parameters": 262144,
        "updateBytes": MIB,
        "slices": 2,
        "replicas": 2,
        "shards": 2,
        "shardsAwake": 1,
        "shardNames": ["shard-1", "shard-2"],
        "rounds": 3,
        "openRounds": 1,
        "latestRound": 7,
        "bytesDurable": 5 * MIB,
        "durable": "5.0 MiB",
        "bytesHot": 2 * MIB,
        "hot": "2.0 MiB",
        "hitRate": "87.5%",
        "observedGeneration": 4,
    }


def test_our_own_definition_keeps_every_field_of_a_status() -> None:
    facts = Facts(job("d"), Assignment(((ONE,),), 1), Durable(1, 1, 1, 1), Hot(1, 0.5), [state(ONE, Phase.AWAKE)])
    status = make_status(fljob("d"), facts, ALL_WELL, NOW)
    assert admitted({**fljob("d"), "status": status})["status"] == status


def test_what_is_not_known_now_stays_as_it_was_shown_last() -> None:
    first = make_status(fljob("d"), Facts(job("d"), None, Durable(2, 0, 1, 10), Hot(5, 0.5)), ALL_WELL, NOW)
    later = make_status({**fljob("d"), "status": first}, Facts(), ALL_WELL, NOW + 60.0)
    assert later == first
    quiet = make_status({**fljob("d"), "status": first}, Facts(hot=Hot(9, None)), ALL_WELL, NOW)
    assert (quiet["bytesHot"], quiet["hitRate"]) == (9, "50.0%"), "an hour without requests keeps the rate"


def test_before_any_request_and_any_commit_there_is_no_rate_and_no_latest_round() -> None:
    status = make_status(fljob("d"), Facts(durable=Durable(0, 1, None, 10), hot=Hot(0, None)), ALL_WELL, NOW)
    assert "hitRate" not in status
    assert "latestRound" not in status


def conditions(*shown: tuple[Condition, float]) -> list[dict[str, Any]]:
    """Show one condition after the other, and return what the object has each time."""
    item, history = fljob("d"), []
    for condition, now in shown:
        item["status"] = make_status(item, Facts(), [condition], now)
        history.append(item["status"]["conditions"][0])
    return history


def test_a_condition_s_time_is_that_of_its_last_change_of_value() -> None:
    yes, still, no = (
        Condition("Ready", value, reason, "") for value, reason in ((True, "A"), (True, "B"), (False, "C"))
    )
    history = conditions((yes, NOW), (still, NOW + 60.0), (no, NOW + 120.0))
    times = [condition["lastTransitionTime"] for condition in history]
    assert times == [STAMP, STAMP, "2026-09-21T14:15:20Z"]
    assert [condition["reason"] for condition in history] == ["A", "B", "C"]
    assert [condition["status"] for condition in history] == ["True", "True", "False"]


def test_a_message_is_cut_to_what_an_object_may_hold() -> None:
    (shown,) = conditions((Condition("Ready", False, "Long", "x" * 5000), NOW))
    assert shown["message"] == "x" * MESSAGE_CHARS
