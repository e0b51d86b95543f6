"""What aggregates were made of, and whether FedAvg of it gives them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from flstore_core.errors import InvalidParameters, NotFound
from flstore_core.ids import JobId
from flstore_core.records import Job
from flstore_core.workloads import Context, RoundData
from flstore_core.workloads.aggregate import Aggregate
from flstore_core.workloads.personalize import Personalize
from flstore_core.workloads.provenance import Provenance, ProvenanceParams
from flstore_core.workloads.shared.advice import Advised, RoundAdvice
from flstore_core.workloads.unlearn import Unlearn
from tests.workloads.rounds import Index
from tests.workloads.stored import MIXED, Stored
from tests.workloads.test_unlearn import EXAMPLES, TAKING_PART, history, stored

ASKED = Provenance()


def made(tamper: int | None = None, parameters: int = 900) -> Stored:
    """Return five rounds of FedAvg; the aggregate of round `tamper` is another."""
    initial, sent = history(parameters, TAKING_PART)
    if tamper is not None:
        updates, aggregate = sent[tamper - 1]
        sent[tamper - 1] = updates, aggregate + np.eye(1, parameters, 7)[0]
    return stored(initial, sent, EXAMPLES)


@pytest.mark.parametrize("slices", [1, 2, 5])
def test_a_line_of_aggregates_is_verified_against_its_updates(slices: int) -> None:
    answer = made().ask(ASKED, slices, last=10, verify=True)
    assert [entry.round for entry in answer.generations] == [5, 4, 3, 2, 1, 0]
    assert [entry.verified for entry in answer.generations] == [True] * 5 + [None]
    assert (answer.verified, answer.workload, answer.remade) == (True, None, None)
    assert answer.generations[0].distance < 1e-4
    newest = answer.generations[0].updates
    assert [(entry.client, entry.weight) for entry in newest] == [("c0", 10 / 31), ("c1", 20 / 31), ("c4", 1 / 31)]


@pytest.mark.parametrize("slices", [1, 2, 5])
def test_an_aggregate_that_its_updates_do_not_make_is_found(slices: int) -> None:
    answer = made(tamper=4).ask(ASKED, slices, last=4, verify=True)
    assert [(entry.round, entry.verified) for entry in answer.generations] == [
        (5, True), (4, False), (3, True), (2, True)
    ]  # fmt: skip
    assert answer.verified is False
    assert answer.generations[1].distance == pytest.approx(1.0, rel=1e-4)
    assert made(tamper=4).ask(ASKED, round=4, verify=True, tolerance=0.5).verified is True


def test_hashes_are_told_without_reading_a_model() -> None:
    rounds = made()
    assert ASKED.members(rounds.rounds[-1:], ProvenanceParams()) == []
    (generation,) = ASKED.combine([], context_of(rounds), ProvenanceParams()).generations
    assert (generation.aggregate, generation.verified, generation.distance) == ("0" * 64, None, None)
    assert {entry.sha256 for entry in generation.updates} == {"0" * 64}


def context_of(rounds: Stored) -> Context:
    return Context(Job(JobId("job"), rounds.schema), tuple(rounds.rounds[-1:]), rounds.artifacts)


def test_mixed_dtypes_are_verified_within_a_wider_tolerance() -> None:
    initial, sent = history(MIXED.parameters, TAKING_PART)
    rounds = stored(initial, sent, EXAMPLES, MIXED)
    assert rounds.ask(ASKED, verify=True, tolerance=1e-2).verified is True
    assert rounds.ask(ASKED, verify=True, tolerance=1e-9).verified is False


def test_what_an_artifact_says_of_itself_cannot_be_put_into_its_mouth() -> None:
    with pytest.raises(InvalidParameters, match="leave it out"):
        ASKED.with_artifact(ProvenanceParams(artifact="a", metadata={}), lambda _: {})
    nothing = ASKED.with_artifact(ProvenanceParams(artifact="a"), lambda _: {"workload": "aggregate"})
    with pytest.raises(InvalidParameters, match="does not say in its metadata how it was made"):
        ASKED.select(nothing, made().index)


def test_an_artifact_whose_inputs_changed_or_went_says_which() -> None:
    rounds = made()
    asked = Aggregate().params(round=5, method="median")
    rounds.ask_with(Aggregate(), asked)
    metadata = rounds.artifacts.metadata[0]
    params = ASKED.with_artifact(ProvenanceParams(artifact="0" * 32, verify=True), lambda _: metadata)
    whole = rounds.ask_with(ASKED, params)
    assert (whole.workload, whole.verified, whole.changed) == ("aggregate", True, [])
    assert [entry.client for entry in whole.inputs] == ["c0", "c1", "c4"]
    record = rounds.rounds[-1].record
    without = replace(rounds.rounds[-1], record=replace(record, members=record.members[1:]))
    gone = Stored(rounds.schema, [*rounds.rounds[:-1], without], rounds.models).ask_with(ASKED, params)
    assert [entry.client for entry in gone.changed] == ["c0"]
    assert gone.inputs == whole.inputs


def advised(stored_advice: Any) -> Stored:
    """Return the rounds, the last of which was aggregated without c4, and has this advice."""
    rounds = made()
    models = dict(rounds.models)
    models[5, "aggregate"] = (10 * models[5, "c0"] + 20 * models[5, "c1"]) / 30
    last = rounds.rounds[-1]
    record = replace(last.record, metrics={"advice": stored_advice})
    return Stored(rounds.schema, [*rounds.rounds[:-1], replace(last, record=record)], models)


ADVICE = {
    "mode": "exclude",
    "advisers": ["malicious-filter"],
    "advised": {"c0": 0.5, "c4": 0.0},
    "applied": {"c4": 0.0},
    "reasons": {"c4": ["is long"]},
    "problem": "",
}


def test_what_was_advised_is_told_and_the_aggregate_made_again_as_it_was_made_then() -> None:
    answer = advised(ADVICE).ask(ASKED, verify=True)
    (generation,) = answer.generations
    assert generation.verified is True
    assert [entry.weight for entry in generation.updates] == [10 / 30, 20 / 30, 0.0]
    assert generation.advice == RoundAdvice(
        "exclude",
        ["malicious-filter"],
        [Advised("c0", 0.5, 1.0, []), Advised("c4", 0.0, 0.0, ["is long"])],
        "",
    )
    assert made().ask(ASKED).generations[0].advice is None


@pytest.mark.parametrize("odd", ["yes", 3, None, {"advised": 3}, {"advised": {"c4": "much"}, "reasons": {"c4": 3}}])
def test_what_does_not_read_as_advice_changes_nothing(odd: Any) -> None:
    answer = advised(odd).ask(ASKED, verify=True)
    assert answer.generations[0].verified is False
    assert answer.generations[0].updates[2].weight == 1 / 31


def test_rounds_that_are_not_there_are_not_found() -> None:
    with pytest.raises(NotFound, match="round 9"):
        made().ask(ASKED, round=9)


def traced(rounds: Stored, workload: Any, **params: Any) -> ProvenanceParams:
    """Return the question of where the first model came from that the workload wrote."""
    rounds.ask_with(workload, workload.params(**params))
    metadata = rounds.artifacts.metadata[0]
    return ASKED.with_artifact(ProvenanceParams(artifact="0" * 32, verify=True), lambda _: metadata)


def replaced_rounds(rounds: Stored, *last: RoundData) -> Stored:
    return Stored(rounds.schema, [*rounds.rounds[:-1], *last], rounds.models)


def test_an_input_that_was_replaced_is_named_with_the_hash_it_had() -> None:
    rounds = made()
    params = traced(rounds, Aggregate(), round=5, method="median")
    record = rounds.rounds[-1].record
    first, *others = record.members
    again = replace(record, members=(replace(first, sha256="f" * 64), *others))
    answer = replaced_rounds(rounds, replace(rounds.rounds[-1], record=again)).ask_with(ASKED, params)
    assert [(entry.client, entry.sha256) for entry in answer.changed] == [(first.client, "0" * 64)]


def test_an_artifact_that_comes_out_otherwise_is_linked() -> None:
    rounds = made()
    params = traced(rounds, Aggregate(), round=5, method="median")
    other = replace(params, artifact="f" * 32)
    answer = rounds.ask_with(ASKED, other)
    assert (answer.verified, answer.remade.parameters) == (False, 900)


@pytest.mark.parametrize("workload", [Aggregate(), Personalize(), Unlearn()], ids=lambda workload: str(workload.name))
def test_an_artifact_of_the_newest_round_is_made_from_that_round_again_when_newer_ones_exist(workload: Any) -> None:
    rounds = made()
    then = Stored(rounds.schema, rounds.rounds[:4], rounds.models)
    params = traced(then, workload, **({"client": "c0"} if workload.name == "unlearn" else {}))
    rounds.ask_with(ASKED, params)
    assert rounds.artifacts.metadata == then.artifacts.metadata
    np.testing.assert_array_equal(rounds.artifacts.written, then.artifacts.written)


def test_a_model_of_several_is_found_among_all_that_are_made_again() -> None:
    rounds = made()
    params = traced(rounds, Personalize(), round=5, clusters=2)
    answer = rounds.ask_with(ASKED, params)
    assert (answer.workload, answer.verified, answer.remade) == ("personalize", True, None)


def test_an_artifact_whose_client_is_gone_cannot_be_made_again() -> None:
    rounds = made()
    params = traced(rounds, Aggregate(), round=5, clients=["c0", "c1"])
    record = rounds.rounds[-1].record
    without = replace(rounds.rounds[-1], record=replace(record, members=record.members[1:]))
    answer = replaced_rounds(rounds, without).ask_with(ASKED, params)
    assert ([entry.client for entry in answer.changed], answer.verified, answer.remade) == (["c0"], False, None)


def test_without_verification_an_artifact_names_what_it_was_made_of_and_nothing_is_read() -> None:
    rounds = made()
    params = replace(traced(rounds, Aggregate(), round=5), verify=False)
    assert ASKED.members(rounds.rounds[-1:], params) == []
    assert not ASKED.reads_statistics(params)
    answer = rounds.ask_with(ASKED, params)
    assert (answer.workload, answer.verified, answer.generations) == ("aggregate", None, [])
    assert {(entry.round, entry.client) for entry in answer.inputs} == {(5, "c0"), (5, "c1"), (5, "c4")}


def test_an_artifact_of_a_workload_that_is_gone_names_the_nearest() -> None:
    gone = {"workload": "agregate", "params": "{}", "inputs": "[]"}
    params = ProvenanceParams(artifact="0" * 32, metadata=gone)
    with pytest.raises(NotFound, match="workload 'agregate' does not exist; nearest: aggregate"):
        ASKED.select(params, made().index)


def test_only_a_robust_aggregate_made_again_reads_statistics() -> None:
    rounds = made()
    assert ASKED.reads_statistics(traced(made(), Aggregate(), round=5, method="geometric-median"))
    assert not ASKED.reads_statistics(traced(rounds, Aggregate(), round=5, method="fedavg"))
    assert not ASKED.reads_statistics(ProvenanceParams(verify=True))


def test_a_line_ends_at_a_round_without_a_base_and_takes_no_round_that_is_none() -> None:
    rounds = made()
    record = replace(rounds.rounds[-1].record, base=2)
    skipping = replaced_rounds(rounds, replace(rounds.rounds[-1], record=record))
    assert [entry.round for entry in skipping.ask(ASKED, last=9).generations] == [5, 2, 1, 0]
    index = Index(committed=[0, 1, 2, 3], open=[4])
    assert ASKED.select(ProvenanceParams(last=2), index) == [2, 3]
    assert ASKED.select(ProvenanceParams(round=4, last=3), index) == [2, 3, 4]


def test_a_round_without_an_aggregate_has_no_verdict() -> None:
    rounds = made()
    record = replace(rounds.rounds[-1].record, aggregate=None)
    answer = replaced_rounds(rounds, replace(rounds.rounds[-1], record=record)).ask(ASKED, verify=True)
    (generation,) = answer.generations
    assert (generation.aggregate, generation.verified, answer.verified) == (None, None, None)
