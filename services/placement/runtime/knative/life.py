"""The life of one backend on Knative: its phases, starts and failures, as seen since this controller began to watch.

Each look at the objects yields an `Observation`. The life compares it with the one before it, and calls the watcher.
Pod *and* restart count together identify what runs, because a container that dies is started again in the same pod:

    t = 0 s      pod a appears                            STARTING; a start begins, cause `request`
    t = 3 s      pod a is Ready                           AWAKE; the start took 3 s
    t = 3600 s   a's container is killed for its memory   FAILED, trouble OutOfMemory
    t = 3601 s   restartCount of a is 1                   a start begins, cause `restart`, reason `OOMKilled`
    t = 3604 s   pod a is Ready again                     AWAKE; the start took 3 s, `starts` is 2
    t = 7200 s   pod a is Failed with reason Evicted      ZERO
    t = 7201 s   pod b appears                            a start begins, cause `eviction`, reason `Evicted`

The cause of a start is the first of these that applies:

    RESTART       the same pod, a higher restart count
    EVICTION      the pod before has a disruption condition, or failed on its node
    ROLLOUT       the pod before had another Knative revision; Knative starts one pod of every new revision
    REPLACEMENT   the pod before vanished without having been told to leave
    REQUEST       the pod before was told to leave, as the autoscaler does with an idle one; or there was none

A controller that begins to watch knows nothing of what was before. The first start that it sees of a pod has the cause
`request`, unless the pod's restart count says more. What earlier controllers saw is in their Events, for an hour.

If a pod is not Ready for a moment, and then Ready again with the same restart count, nothing was started.
"""

from collections import deque
from dataclasses import dataclass, replace

from services.placement.runtime.base import (
    RECENT_STARTS,
    BackendSpec,
    BackendState,
    Cause,
    End,
    Phase,
    Start,
    Watcher,
)
from services.placement.runtime.knative.observation import Incarnation, Observation

RUNNING = frozenset({Phase.STARTING, Phase.AWAKE, Phase.FAILED, Phase.LEAVING})
"""Phases in which a pod exists, and so takes memory."""

SCALED_TO_ZERO = "scaled to zero"
POD_GONE = "pod gone"


class Life:
    """Turns observations of one backend into its state, and into calls of a `Watcher`."""

    def __init__(self, spec: BackendSpec, url: str, watcher: Watcher) -> None:
        self.spec = spec
        self.observation = Observation(Phase.ZERO)
        self._recent: deque[Start] = deque(maxlen=RECENT_STARTS)
        self._url = url
        self._watcher = watcher
        self._starts = 0
        self._failures = 0
        self._awake_s = 0.0
        self._observed_at = 0.0
        self._current: Incarnation | None = None
        self._eviction = ""
        self._told_to_leave = False
        self._unfinished: _Begun | None = None

    @property
    def starts(self) -> int:
        """Number of starts since this controller began to watch, those that are under way or failed included."""
        return self._starts

    @property
    def last_start(self) -> Start | None:
        """The newest start that made it ready."""
        return self._recent[-1] if self._recent else None

    def record(self, observation: Observation, now: float) -> None:
        """Take in what is observed at `now`, in seconds that never go back."""
        # The order matters: what is known of the old incarnation has to be complete before a new one is explained by
        # it, and a start has to begin before the phase that ends it is entered.
        before = self.observation
        if before.phase in RUNNING:
            self._awake_s += now - self._observed_at
        self._observed_at = now
        self._note_end_of_current(observation)
        if self._is_new(observation.incarnation):
            self._begin(observation, before.phase, now)
        if observation.phase is not self.observation.phase:
            self._enter(observation)
            if observation.phase is Phase.AWAKE:
                self._note_ready(observation, now)
        self.observation = observation

    def state(self, now: float) -> BackendState:
        """Return the state at `now`."""
        running_s = now - self._observed_at if self.observation.phase in RUNNING else 0.0
        failure = self.observation.failure
        return BackendState(
            id=self.spec.id,
            phase=self.observation.phase,
            url=self._url,
            starts=self._starts,
            recent_starts=tuple(self._recent),
            last_end=self._last_end(),
            failures=self._failures,
            awake_s=self._awake_s + running_s,
            kind=self.spec.kind,
            direct_url=self.observation.direct_url,
            trouble=f"{failure.reason}: {failure.message}" if failure else None,
        )

    def _note_end_of_current(self, observation: Observation) -> None:
        if self._current:
            self._eviction = observation.evictions.get(self._current.pod, self._eviction)
        self._told_to_leave |= observation.phase is Phase.LEAVING

    def _is_new(self, incarnation: Incarnation | None) -> bool:
        if incarnation is None or self._current is None:
            return incarnation is not None
        return (incarnation.pod, incarnation.restarts) != (self._current.pod, self._current.restarts)

    def _begin(self, observation: Observation, phase_before: Phase, now: float) -> None:
        """Note a new incarnation.

        If it is awake and so was the one before, nobody saw the start between them. A STARTING phase is then put
        between the two, so that the watcher learns of a start.
        """
        assert observation.incarnation is not None
        self._starts += 1
        self._unfinished = _Begun(now, *self._explain(observation.incarnation))
        self._current, self._eviction, self._told_to_leave = observation.incarnation, "", False
        if phase_before is observation.phase is Phase.AWAKE:
            self._enter(replace(observation, phase=Phase.STARTING, direct_url=None))

    def _explain(self, new: Incarnation) -> tuple[Cause, str]:
        """Return why `new` was started, and how what ran before it ended."""
        old = self._current
        if new.restarts and (old is None or old.pod == new.pod):
            return Cause.RESTART, new.last_end
        if old is None:
            return Cause.REQUEST, ""
        if self._eviction:
            return Cause.EVICTION, self._eviction
        if new.revision != old.revision:
            return Cause.ROLLOUT, f"revision {new.revision}"
        return (Cause.REQUEST, SCALED_TO_ZERO) if self._told_to_leave else (Cause.REPLACEMENT, POD_GONE)

    def _last_end(self) -> End | None:
        if self._current is None or self.observation.phase is not Phase.ZERO:
            return None
        if self._eviction:
            return End(self._eviction, expected=False)
        return End(SCALED_TO_ZERO, expected=True) if self._told_to_leave else End(POD_GONE, expected=False)

    def _enter(self, observation: Observation) -> None:
        self.observation = observation
        self._failures += observation.phase is Phase.FAILED
        if observation.phase is Phase.AWAKE:
            self._failures = 0
        self._watcher.changed(self.state(self._observed_at))

    def _note_ready(self, observation: Observation, now: float) -> None:
        """Measure how long the start took: by this controller's clock, or by the cluster's if nobody saw it begin."""
        begun, self._unfinished = self._unfinished, None
        if begun is None:
            return
        seconds = now - begun.at
        if not seconds and observation.incarnation and observation.ready_at is not None:
            seconds = max(0.0, observation.ready_at - observation.incarnation.started_at)
        start = Start(begun.cause, begun.reason, seconds, observation.ready_at)
        self._recent.append(start)
        self._watcher.started(self.spec.id, start)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A start that has not led to a ready backend yet."""

    at: float
    cause: Cause
    reason: str
