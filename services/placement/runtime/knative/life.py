"""What a shard has been through since this controller began to watch it."""

from services.placement.runtime.base import Cause, Phase, ShardSpec, ShardState, Watcher
from services.placement.runtime.knative.state import Sight

RUNNING = frozenset({Phase.STARTING, Phase.AWAKE, Phase.FAILED, Phase.LEAVING})
"""Phases in which a pod exists, and so costs memory."""


class Life:
    """Turns what is seen of one shard into what a `Watcher` is told."""

    def __init__(self, spec: ShardSpec, url: str, watcher: Watcher) -> None:
        self.spec = spec
        self.sight = Sight(Phase.ZERO)
        self._url = url
        self._watcher = watcher
        self._starts = 0
        self._last_start_s: float | None = None
        self._failures = 0
        self._awake_s = 0.0
        self._since = 0.0
        self._begun = 0.0
        self._cause = Cause.REQUEST

    def saw(self, sight: Sight, now: float) -> Sight:
        """Take in what is seen at `now`, in seconds that never go back; return what was seen before."""
        before = self.sight
        if before.phase in RUNNING:
            self._awake_s += now - self._since
        self._since = now
        another = sight.pod != before.pod
        if sight.pod and another:
            self._begin(before, now)
            if before.phase is sight.phase is Phase.AWAKE:
                self._enter(Sight(Phase.STARTING, pod=sight.pod))
        if sight.phase is not self.sight.phase:
            self._enter(sight)
            if sight.phase is Phase.AWAKE:
                self._ready(sight, now)
        self.sight = sight
        return before

    def state(self, now: float) -> ShardState:
        running = now - self._since if self.sight.phase in RUNNING else 0.0
        failure = self.sight.failure
        return ShardState(
            shard=self.spec.id,
            phase=self.sight.phase,
            url=self._url,
            starts=self._starts,
            last_start_s=self._last_start_s,
            failures=self._failures,
            awake_s=self._awake_s + running,
            kind=self.spec.kind,
            direct_url=self.sight.direct_url,
            trouble=f"{failure.reason}: {failure.message}" if failure else None,
        )

    def _begin(self, before: Sight, now: float) -> None:
        self._starts += 1
        self._begun = now
        self._cause = Cause.REPLACEMENT if before.phase in (Phase.AWAKE, Phase.FAILED) else Cause.REQUEST

    def _enter(self, sight: Sight) -> None:
        self.sight = sight
        self._failures += sight.phase is Phase.FAILED
        if sight.phase is Phase.AWAKE:
            self._failures = 0
        self._watcher.changed(self.state(self._since))

    def _ready(self, sight: Sight, now: float) -> None:
        """Measure the start by what was witnessed of it; of a pod that was ready when first seen, by its own stamps."""
        seconds = now - self._begun
        if not seconds and sight.ready_at is not None and sight.started_at is not None:
            seconds = sight.ready_at - sight.started_at
        self._last_start_s = seconds
        self._watcher.started(self.spec.id, self._cause, seconds)
