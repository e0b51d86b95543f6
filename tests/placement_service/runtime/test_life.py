"""What a backend on Knative has been through, from what was observed of it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.ids import ShardId
from services.placement.runtime.base import BackendSpec, Cause, End, Kind, Phase, Start
from services.placement.runtime.knative.life import RUNNING, Life
from services.placement.runtime.knative.observation import Failure, Incarnation, Observation
from tests.placement_service.runtime.witness import Witness

SPEC = BackendSpec(ShardId("shard-0"), 1 << 20, "lru", 0.0)
OOM = Failure("OutOfMemory", "raise it")
ZERO = Observation(Phase.ZERO)
LEAVING = Observation(Phase.LEAVING)


def run(pod: str, restarts: int = 0, revision: str = "v1", last_end: str = "", started_at: float = 0.0) -> Incarnation:
    return Incarnation(pod, restarts, revision, last_end, started_at)


def starting(incarnation: Incarnation) -> Observation:
    return Observation(Phase.STARTING, None, incarnation)


def awake(incarnation: Incarnation, ready_at: float | None = None) -> Observation:
    return Observation(Phase.AWAKE, None, incarnation, "http://10.0.0.1:8080", ready_at)


def failed(incarnation: Incarnation | None, failure: Failure = OOM) -> Observation:
    return Observation(Phase.FAILED, failure, incarnation)


def live(*history: tuple[float, Observation]) -> tuple[Life, Witness]:
    witness = Witness()
    life = Life(SPEC, "http://shard-0", witness)
    for at, observation in history:
        life.record(observation, at)
    return life, witness


A, B = run("a"), run("b")
RESTARTED = run("a", 1, last_end="OOMKilled")


def test_the_example_in_the_module_s_docstring() -> None:
    life, witness = live(
        (0.0, starting(A)),
        (3.0, awake(A)),
        (3600.0, failed(A)),
        (3601.0, failed(RESTARTED)),
        (3604.0, awake(RESTARTED)),
        (7200.0, Observation(Phase.ZERO, evictions={"a": "Evicted"})),
        (7201.0, Observation(Phase.STARTING, None, B, evictions={"a": "Evicted"})),
        (7204.0, awake(B)),
    )
    assert witness.starts == [
        Start(Cause.REQUEST, "", 3.0),
        Start(Cause.RESTART, "OOMKilled", 3.0),
        Start(Cause.EVICTION, "Evicted", 3.0),
    ]
    state = life.state(7210.0)
    assert (state.starts, state.last_start, state.failures) == (3, witness.starts[-1], 0)
    assert state.awake_s == 7209.0, "all but the second at zero"
    assert witness.phases == [
        *(Phase.STARTING, Phase.AWAKE, Phase.FAILED, Phase.AWAKE),
        *(Phase.ZERO, Phase.STARTING, Phase.AWAKE),
    ]


@pytest.mark.parametrize(
    ("between", "then", "cause", "reason"),
    [
        ([ZERO], B, Cause.REPLACEMENT, "pod gone"),
        ([], B, Cause.REPLACEMENT, "pod gone"),
        ([LEAVING], B, Cause.REQUEST, "scaled to zero"),
        ([LEAVING, ZERO], B, Cause.REQUEST, "scaled to zero"),
        ([], RESTARTED, Cause.RESTART, "OOMKilled"),
        ([failed(A)], RESTARTED, Cause.RESTART, "OOMKilled"),
        ([], run("b", revision="v2"), Cause.ROLLOUT, "revision v2"),
        ([LEAVING, ZERO], run("b", revision="v2"), Cause.ROLLOUT, "revision v2"),
        ([Observation(Phase.LEAVING, evictions={"a": "Preempted"}), ZERO], B, Cause.EVICTION, "Preempted"),
        ([Observation(Phase.ZERO, evictions={"a": "Evicted"})], run("b", revision="v2"), Cause.EVICTION, "Evicted"),
        ([Observation(Phase.LEAVING, evictions={"other": "Evicted"})], B, Cause.REQUEST, "scaled to zero"),
        ([failed(A)], B, Cause.REPLACEMENT, "pod gone"),
    ],
)
def test_the_first_cause_that_applies_explains_a_start(
    between: list[Observation], then: Incarnation, cause: Cause, reason: str
) -> None:
    history = [starting(A), awake(A), *between, starting(then), awake(then)]
    _, witness = live(*((float(at), observation) for at, observation in enumerate(history)))
    assert [(start.cause, start.reason) for start in witness.starts] == [(Cause.REQUEST, ""), (cause, reason)]


def test_an_eviction_explains_one_start_only() -> None:
    gone = {"a": "Evicted"}
    _, witness = live(
        (0.0, awake(A)),
        (1.0, Observation(Phase.ZERO, evictions=gone)),
        (2.0, Observation(Phase.AWAKE, None, B, evictions=gone)),
        (3.0, Observation(Phase.LEAVING, evictions=gone)),
        (4.0, Observation(Phase.AWAKE, None, run("c"), evictions=gone)),
    )
    assert [start.cause for start in witness.starts] == [Cause.REQUEST, Cause.EVICTION, Cause.REQUEST]


def test_a_pod_that_is_unready_for_a_moment_was_not_started_again() -> None:
    life, witness = live((0.0, starting(A)), (3.0, awake(A)), (3600.0, starting(A)), (3601.0, awake(A)))
    assert witness.starts == [Start(Cause.REQUEST, "", 3.0)]
    assert life.state(3602.0).starts == 1


def test_a_start_between_two_looks_is_told_as_two_phases_and_measured_by_the_cluster_s_clock() -> None:
    restarted = run("a", 1, last_end="exit code 3", started_at=1000.0)
    _, witness = live((0.0, awake(run("a", started_at=10.0), 12.5)), (60.0, awake(restarted, 1001.5)))
    assert witness.phases == [Phase.AWAKE, Phase.STARTING, Phase.AWAKE]
    assert [state.direct_url for state in witness.states] == ["http://10.0.0.1:8080", None, "http://10.0.0.1:8080"]
    assert [start.seconds for start in witness.starts] == [2.5, 1.5]


def test_stamps_that_contradict_each_other_give_no_negative_time() -> None:
    _, witness = live((0.0, awake(run("a", 1, started_at=1000.0), 990.0)))
    assert witness.starts == [Start(Cause.RESTART, "", 0.0)]


def test_without_stamps_a_start_that_nobody_saw_took_no_time() -> None:
    _, witness = live((5.0, awake(A)))
    assert witness.starts == [Start(Cause.REQUEST, "", 0.0)]


def test_restarts_that_never_get_ready_are_starts_but_none_that_ended() -> None:
    loop = [(float(count), failed(run("a", count, last_end="exit code 3"))) for count in range(5)]
    life, witness = live(*loop)
    assert witness.starts == []
    state = life.state(5.0)
    assert (state.starts, state.failures, state.last_start) == (5, 1, None)
    assert state.trouble == "OutOfMemory: raise it"
    life.record(awake(run("a", 5, last_end="exit code 3")), 6.0)
    assert life.state(6.0).failures == 0
    assert witness.starts == [Start(Cause.RESTART, "exit code 3", 0.0)]


def test_a_predictor_s_state_says_that_it_is_one() -> None:
    spec = BackendSpec(ShardId("predictor-0"), 1, "lru", 0.0, Kind.PREDICTOR)
    state = Life(spec, "http://predictor-0", Witness()).state(0.0)
    assert (state.id, state.kind, state.phase, state.url) == (
        "predictor-0",
        Kind.PREDICTOR,
        Phase.ZERO,
        "http://predictor-0",
    )


incarnations = st.builds(run, st.sampled_from("ab"), st.integers(0, 2), st.sampled_from(["v1", "v2"]))
observations = st.one_of(
    st.just(ZERO),
    st.just(LEAVING),
    st.just(failed(None, Failure("Bad", "no"))),
    st.builds(starting, incarnations),
    st.builds(awake, incarnations),
    st.builds(failed, incarnations),
)


@given(st.lists(st.tuples(st.floats(0.0, 100.0), observations), max_size=40))
def test_any_history_keeps_the_books_straight(history: list[tuple[float, Observation]]) -> None:
    witness, now, awake_s = Witness(), 0.0, 0.0
    life, phase = Life(SPEC, "http://shard-0", witness), Phase.ZERO
    for pause, observation in history:
        awake_s += pause if phase in RUNNING else 0.0
        now += pause
        life.record(observation, now)
        phase = observation.phase
        state = life.state(now)
        assert (state.phase, state.direct_url) == (phase, observation.direct_url)
    runs = [(each.incarnation.pod, each.incarnation.restarts) for _, each in history if each.incarnation]
    changes = sum(old != new for old, new in pairwise(runs)) + bool(runs)
    state = life.state(now)
    assert state.starts == changes
    assert state.awake_s == pytest.approx(awake_s)
    assert len(witness.starts) <= state.starts
    assert all(0.0 <= start.seconds <= now for start in witness.starts)
    assert all(old is not new for old, new in pairwise([Phase.ZERO, *witness.phases])), "no phase is told twice"
    assert witness.phases.count(Phase.AWAKE) >= len(witness.starts)
    assert state.last_start == (witness.starts[-1] if witness.starts else None)


def test_the_last_ten_starts_are_kept_with_the_time_at_which_the_pod_was_ready() -> None:
    life, witness = live(*((float(count), awake(run("a", count), ready_at=100.0 + count)) for count in range(12)))
    recent = life.state(12.0).recent_starts
    assert recent == tuple(witness.starts[2:])
    assert [start.at for start in recent] == [102.0 + count for count in range(10)]
    assert (life.starts, life.last_start) == (12, recent[-1])


@pytest.mark.parametrize(
    ("history", "end"),
    [
        ([ZERO], None),
        ([awake(A)], None),
        ([awake(A), LEAVING], None),
        ([awake(A), ZERO], End("pod gone", expected=False)),
        ([awake(A), LEAVING, ZERO], End("scaled to zero", expected=True)),
        ([awake(A), Observation(Phase.ZERO, evictions={"a": "Evicted"})], End("Evicted", expected=False)),
        ([awake(A), ZERO, starting(B)], None),
    ],
)
def test_a_backend_at_zero_says_how_it_came_to_be_there(history: list[Observation], end: End | None) -> None:
    life, _ = live(*((float(at), observation) for at, observation in enumerate(history)))
    assert life.state(10.0).last_end == end
