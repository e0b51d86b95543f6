"""What was recorded of a training, and what was not, in one line."""

from dataclasses import dataclass, field
from pathlib import Path

from flstore_core.integrations.recorder.journal import Step, Update
from flstore_core.units import format_size

_SHOWN = 3


@dataclass
class Report:
    """Counts of one training."""

    job: str = ""
    """The job's name in the store; empty as long as it is not open."""
    rounds: int = 0
    """Rounds that are committed."""
    updates: int = 0
    """Updates that are stored."""
    nbytes: int = 0
    """Bytes of these updates."""
    taken_up: int = 0
    """Rounds that an earlier training left in the spool, and that are recorded now."""
    unadvised: int = 0
    """Rounds whose advice did not come in time, or not at all."""
    problems: list[tuple[str, str]] = field(default_factory=list)
    """What is not recorded, each with the reason."""
    broken: str = ""
    """Why recording ended before the training did."""
    untracked: str = ""
    """Why the tracker does not have all that is recorded."""
    left: str = ""
    """What was still waiting at the end, and where it is."""

    @property
    def is_whole(self) -> bool:
        """Whether everything is recorded."""
        return not (self.problems or self.broken or self.untracked or self.left)

    def open(self, job: str) -> None:
        self.job = job

    def count(self, step: Update, nbytes: int) -> None:
        """Count an update, but no aggregate: each round has one."""
        self.updates += bool(step.client)
        self.nbytes += nbytes if step.client else 0

    def count_stored(self, nbytes: int) -> None:
        """Count an update that its client has stored."""
        self.updates += 1
        self.nbytes += nbytes

    def count_round(self) -> None:
        self.rounds += 1

    def refuse(self, step: Step, error: Exception, *, fatal: bool) -> None:
        """Note that a step was not taken, and with `fatal` that no other will be."""
        self.miss(described(step), error)
        if fatal:
            self.broken = str(error) or type(error).__name__

    def miss(self, what: str, why: object) -> None:
        """Note what is not recorded."""
        self.problems.append((what, str(why)))

    def leave(self, rounds: int, folder: Path) -> None:
        """Note the rounds that wait for a later training."""
        if rounds:
            self.left = f"{_counted(rounds, 'round')} left in {folder}, for a training that resumes the job"

    def line(self) -> str:
        """Return all of it as one line."""
        told = f"FLStore has {_counted(self.rounds, 'round')} with {_counted(self.updates, 'update')}"
        told += f" ({format_size(self.nbytes)})"
        if self.job:
            told += f" in job {self.job!r}"
        if self.taken_up:
            told += f"; taken up of an earlier training: {_counted(self.taken_up, 'round')}"
        if self.unadvised:
            told += f"; without advice: {_counted(self.unadvised, 'round')}"
        if self.broken:
            told += f"; recording ended early: {self.broken}"
        elif self.problems:
            told += f"; not recorded: {self._missed()}"
        if self.untracked:
            told += f"; not tracked: {self.untracked}"
        return told + (f"; {self.left}" if self.left else "")

    def _missed(self) -> str:
        """Return what is not recorded, by reason: the first of each, and how many more."""
        by_reason: dict[str, list[str]] = {}
        for what, why in self.problems:
            by_reason.setdefault(why, []).append(what)
        shown = [
            f"{what}{f' and {len(more)} more' if more else ''} ({why})"
            for why, (what, *more) in list(by_reason.items())[:_SHOWN]
        ]
        left = sum(len(whats) for whats in list(by_reason.values())[_SHOWN:])
        return ", ".join(shown) + (f", and {left} more for other reasons" if left else "")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def described(step: Step) -> str:
    """Return what a step would have recorded."""
    if isinstance(step, Update) and not step.client:
        return f"the aggregate of round {step.round}"
    if isinstance(step, Update):
        return f"the update of {step.client!r} in round {step.round}"
    return f"round {step.round}"
