"""What an `FLJob` declares, and the job, retention and mirror that follow from it."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.errors import FLStoreError, InvalidId, InvalidParameters
from flstore_core.ids import JobId
from flstore_core.placement.planner import working_set_bytes
from flstore_core.records import Job, StatisticsMode, Updates
from flstore_core.schema import Schema, TensorSpec
from services.placement.fljobs.spec import (
    SLACK,
    Declaration,
    choose_object_name,
    compute_retention,
    explain_excess,
    find_contradictions,
    make_mirror,
    make_record,
    parse_declaration,
)
from services.placement.kube.resources import FLJOBS, ORIGIN
from tests.kubernetes.definition import complaints
from tests.kubernetes.world import MIB, SCHEMA, fljob, job


def test_every_field_of_an_object_is_read() -> None:
    item = fljob(
        "digits",
        hotRounds=3,
        statistics="off",
        updates="delta",
        weightKey="samples",
        replicas=2,
        slices=4,
        budget="12Mi",
        roundInterval="8m",
        retention="90s",
        deletionPolicy="Delete",
        schemaFrom="other",
    )
    assert parse_declaration(item) == Declaration(
        job=JobId("digits"),
        settings={
            "statistics": StatisticsMode.OFF,
            "updates": Updates.DELTA,
            "weight_key": "samples",
            "clients_per_round": 1,
            "hot_rounds": 3,
            "replicas": 2,
            "slices": 4,
        },
        schema=SCHEMA,
        schema_from=JobId("other"),
        budget=12 * MIB,
        interval_s=480,
        retention_s=90,
        deletes_data=True,
    )


def test_what_an_object_leaves_out_is_not_declared() -> None:
    assert parse_declaration(FLJOBS.head("digits")) == Declaration(JobId("digits"))
    assert parse_declaration({**FLJOBS.head("digits"), "spec": {"job": "Digits_1"}}).job == "Digits_1"


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ({"statistics": "maybe"}, InvalidParameters, "spec.statistics is 'maybe'; use one of exact, off"),
        ({"updates": "diff"}, InvalidParameters, "spec.updates is 'diff'; use one of weights, delta"),
        (
            {"budget": "lots"},
            InvalidParameters,
            "spec.budget: 'lots' is not a size; write a Kubernetes quantity of bytes",
        ),
        (
            {"roundInterval": "soon"},
            InvalidParameters,
            "spec.roundInterval: 'soon' is not a duration; write a duration",
        ),
        ({"job": "a/b"}, InvalidId, "a/b"),
        ({"schemaFrom": ".hidden"}, InvalidId, ".hidden"),
    ],
)
def test_a_field_that_is_wrong_is_named(spec: dict[str, Any], error: type[FLStoreError], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        parse_declaration({**FLJOBS.head("digits"), "spec": spec})


def test_a_record_has_what_is_declared_and_defaults_for_the_rest() -> None:
    declaration = Declaration(JobId("digits"), {"replicas": 2})
    assert make_record(declaration, SCHEMA, 7.0) == Job(JobId("digits"), SCHEMA, replicas=2, created_at=7.0)


@given(st.integers(1, 100), st.integers(1, 4000 * MIB))
def test_a_budget_keeps_as_many_rounds_hot_as_fit_and_at_least_one(clients: int, budget: int) -> None:
    declaration = Declaration(JobId("digits"), {"clients_per_round": clients}, budget=budget)
    record = make_record(declaration, SCHEMA, 0.0)
    one_more = Job(record.id, SCHEMA, clients_per_round=clients, hot_rounds=min(1000, record.hot_rounds + 1))
    assert record.hot_rounds == 1 or working_set_bytes(record) <= budget
    assert record.hot_rounds == 1000 or working_set_bytes(one_more) > budget


def test_declared_hot_rounds_go_before_a_budget() -> None:
    declaration = Declaration(JobId("digits"), {"hot_rounds": 9, "clients_per_round": 1}, budget=1)
    record = make_record(declaration, SCHEMA, 0.0)
    assert record.hot_rounds == 9
    excess = explain_excess(declaration, record)
    advice = "raise the budget, or declare a job with fewer hot rounds"
    assert excess == f"9 hot rounds of 1 clients take 20.0 MiB, over the budget of 1 B; {advice}"
    assert explain_excess(Declaration(JobId("digits"), budget=20 * MIB), record) is None
    assert explain_excess(Declaration(JobId("digits")), record) is None


def test_an_object_contradicts_a_job_where_it_declares_something_else() -> None:
    stored = job("digits", hot_rounds=7)
    assert find_contradictions(Declaration(stored.id, {"hot_rounds": 7}, SCHEMA), stored) == []
    other = Schema.of([TensorSpec("bias", "F32", (4,))])
    declaration = Declaration(stored.id, {"hot_rounds": 3, "statistics": StatisticsMode.OFF}, other)
    assert find_contradictions(declaration, stored) == [
        "hot_rounds is 7 there and 3 here",
        "statistics is exact there and off here",
        "the schema there has 1 tensors and 262144 parameters",
    ]


@pytest.mark.parametrize(
    ("declaration", "seconds"),
    [
        (Declaration(JobId("j"), interval_s=480), 540.0),
        (Declaration(JobId("j"), interval_s=600, retention_s=30), 30.0),
        (Declaration(JobId("j"), interval_s=10), 0.0),
        (Declaration(JobId("j"), interval_s=2928), 3600.0),
        (Declaration(JobId("j"), interval_s=2929), 0.0),
        (Declaration(JobId("j")), 0.0),
    ],
)
def test_shards_stay_for_what_the_object_says_or_until_the_next_round(declaration: Declaration, seconds: float) -> None:
    assert compute_retention(declaration, 60) == seconds


@given(st.integers(1, 100_000), st.integers(6, 3600))
def test_shards_stay_until_the_next_round_is_due_unless_that_is_too_far_off(interval: int, window: int) -> None:
    retention_s = compute_retention(Declaration(JobId("j"), interval_s=interval), window)
    if interval * SLACK <= 3600:
        assert retention_s + window >= interval
    assert retention_s <= 3600


OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""Kubernetes' own expression of a DNS subdomain name (apimachinery's validation package)."""


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True), st.booleans())
def test_a_mirror_s_name_is_one_that_kubernetes_takes_and_the_job_s_own_where_it_can_be(name: str, taken: bool) -> None:
    chosen = choose_object_name(JobId(name), taken)
    assert OBJECT_NAME.fullmatch(chosen)
    assert len(chosen) <= 63
    assert (chosen == name) == (not taken and len(name) <= 63 and bool(OBJECT_NAME.fullmatch(name)))


def test_similar_jobs_get_different_mirrors() -> None:
    names = ["Job_1", "job_1", "JOB-1", "job 1"]
    assert len({choose_object_name(JobId(name)) for name in names}) == len(names)
    assert choose_object_name(JobId("___")).startswith("job-")


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 8),
    st.sampled_from(StatisticsMode),
    st.none() | st.integers(1, 8),
    st.integers(1, 100),
    st.integers(1, 9),
    st.sampled_from(Updates),
    st.none() | st.text("samples-_", min_size=1),
)
def test_a_mirror_declares_its_job_as_it_is(
    replicas: int,
    statistics: StatisticsMode,
    slices: int | None,
    clients: int,
    hot: int,
    updates: Updates,
    weight_key: str | None,
) -> None:
    counts = {"replicas": replicas, "slices": slices, "clients_per_round": clients, "hot_rounds": hot}
    stored = job("Job_1", statistics=statistics, updates=updates, weight_key=weight_key, **counts)
    owners = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "u1"}]
    mirror = make_mirror(stored, "job-1", "release", owners)
    declaration = parse_declaration(mirror)
    assert (declaration.job, declaration.mirrored, declaration.deletes_data) == ("Job_1", True, False)
    assert find_contradictions(declaration, stored) == []
    assert complaints(mirror, None) == [], "our own definition accepts it"
    assert mirror["metadata"] == {
        "name": "job-1",
        "labels": {
            ORIGIN: "http",
            "app.kubernetes.io/managed-by": "flstore-placement",
            "app.kubernetes.io/instance": "release",
        },
        "ownerReferences": owners,
    }
