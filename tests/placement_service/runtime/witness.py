"""A watcher that remembers what it is told."""

from flstore_core.ids import ShardId
from services.placement.runtime import BackendState, Phase, Start


class Witness:
    """Keeps the phases a backend enters, and its starts, in order."""

    def __init__(self) -> None:
        self.states: list[BackendState] = []
        self.starts: list[Start] = []

    @property
    def phases(self) -> list[Phase]:
        return [state.phase for state in self.states]

    def changed(self, state: BackendState) -> None:
        self.states.append(state)

    def started(self, backend: ShardId, start: Start) -> None:
        self.starts.append(start)
