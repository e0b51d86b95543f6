"""Whether a service is as it was applied, and when a correction is one too many."""

from copy import deepcopy
from typing import Any

import pytest

from flstore_core.ids import ShardId
from services.placement.kube.errors import ObjectConflict
from services.placement.runtime.knative.drift import MOST_CORRECTIONS, WINDOW_S, DriftDetector
from tests.fakes.time import FakeTime

Json = dict[str, Any]
SHARD = ShardId("shard-0")
DESIRED: Json = {
    "metadata": {"labels": {"mine": "yes"}, "ownerReferences": [{"name": "owner", "uid": "u1"}]},
    "spec": {"image": "flstore:1"},
}
WRITTEN: Json = {
    "metadata": {
        "generation": 3,
        "labels": {"mine": "yes", "theirs": "too"},
        "ownerReferences": [{"name": "owner", "uid": "u1", "controller": True}],
    },
    "spec": {"image": "flstore:1", "filled-in": "by the server"},
}


@pytest.fixture
def applied() -> DriftDetector:
    drift = DriftDetector(FakeTime())
    drift.note_applied(SHARD, DESIRED, WRITTEN)
    return drift


def test_what_was_applied_has_not_drifted_whatever_the_server_and_others_add(applied: DriftDetector) -> None:
    assert not applied.has_drifted(SHARD, DESIRED, WRITTEN)


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 4},
        {"labels": {"theirs": "too"}},
        {"labels": {"mine": "no"}},
        {"labels": None},
        {"ownerReferences": []},
        {"ownerReferences": None},
        {"ownerReferences": [{"name": "owner", "uid": "another"}]},
    ],
)
def test_a_change_by_somebody_else_is_drift(applied: DriftDetector, change: Json) -> None:
    existing = deepcopy(WRITTEN)
    existing["metadata"] |= change
    assert applied.has_drifted(SHARD, DESIRED, existing)


def test_a_new_wish_is_drift_until_it_is_applied(applied: DriftDetector) -> None:
    wish = {**DESIRED, "spec": {"image": "flstore:2"}}
    assert applied.has_drifted(SHARD, wish, WRITTEN)
    applied.note_applied(SHARD, wish, {"metadata": {**WRITTEN["metadata"], "generation": 4}})
    assert applied.has_drifted(SHARD, wish, WRITTEN), "the copy is still that of before"


def test_what_was_never_applied_or_is_forgotten_counts_as_drift(applied: DriftDetector) -> None:
    assert applied.has_drifted(ShardId("shard-1"), DESIRED, WRITTEN)
    applied.forget(SHARD)
    applied.forget(SHARD)
    assert applied.has_drifted(SHARD, DESIRED, WRITTEN)


async def test_somebody_who_insists_wins_for_a_minute() -> None:
    time = FakeTime()
    drift = DriftDetector(time)
    for _ in range(MOST_CORRECTIONS):
        drift.note_correction(SHARD)
        await time.advance(1.0)
    with pytest.raises(
        ObjectConflict, match="somebody else changed the Knative service of shard-0 5 times within 60 s"
    ):
        drift.note_correction(SHARD)
    drift.note_correction(ShardId("shard-1"))
    await time.advance(WINDOW_S - MOST_CORRECTIONS)
    drift.note_correction(SHARD)
    with pytest.raises(ObjectConflict, match="managedFields say who"):
        drift.note_correction(SHARD)
