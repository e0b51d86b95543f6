"""What speaks against an update: evidence on its length, direction and distance, against thresholds.

A few attackers must not move the yardstick: an alignment is compared with the usual *size* of an alignment, which
turning an update around does not change; lengths and distances are compared with those of the aligned clients.

Honest updates from unlike data point away from each other too, and far. So direction accuses only where others are
nearly opposite, as `opposition` adds it up over rounds. Pointing away, resembling nobody at all, as noise does, and
lying not quite so far out accuse only a client that no round speaks for; pointing away and lying far out only where
none of the aligned updates goes the same way.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import Float64, alignments, cosines, norms, robust_scores
from flstore_core.workloads.methods.krum import krum_scores, tolerated
from flstore_core.workloads.methods.z2_synchronization import opposition

ALIGNED = 0.1
"""Least cosine similarity with the others' direction that counts as going along; its negative counts as against."""

COMPANY = 0.1
"""Cosine similarity with any one of the aligned clients from which on an update that points away is not alone."""

LEAST_UPDATES = 4
"""Fewest updates of a round that can be judged by one another."""

BYZANTINE = 0.3
"""Share of a round's clients that Krum withstands, unless another is given."""

_VOUCHED = 2.0
"""Log odds of honesty from which on rounds speak for a client; they are 0.85 before anything is known of it."""

_LONGER = 2.0
_ALIGNMENT_SPREAD = 0.15
_LENGTH_SPREAD = 0.25
_TINY = 1e-30


@dataclass(frozen=True)
class Thresholds:
    """Log odds or robust standard deviations past which each measure accuses, and the least length and resemblance as
    shares of the usual."""

    opposition: float = 1.5
    alignment: float = 3.5
    norm: float = 6.0
    krum: float = 5.5
    least_norm: float = 0.01
    least_resemblance: float = 0.25


@dataclass(frozen=True)
class Evidence:
    """Measures of n updates and how far each stands out; arrays of shape (n,)."""

    norm: Float64
    usual_norm: float
    """The median length."""
    norm_score: Float64
    alignment: Float64
    alignment_score: Float64
    krum: Float64
    krum_score: Float64
    resemblance: Float64
    company: Float64
    """Greatest cosine similarity with another client that is aligned with the others."""
    opposition: Float64
    """Log odds that a client sends the opposite of what it learned, by all rounds looked at."""

    def reasons(self, row: int, limits: Thresholds) -> list[str]:
        """Return why update `row` is accused, in words; nothing if it is not."""
        norm, aligned = float(self.norm[row]), float(self.alignment[row])
        below, above, beyond = -self.alignment_score[row], self.norm_score[row], self.krum_score[row]
        against = float(self.opposition[row])
        alone = self.company[row] < COMPANY
        unknown, apart = against > -_VOUCHED, aligned < ALIGNED
        lost = apart and unknown and self.resemblance[row] < limits.least_resemblance
        outside = apart and alone and above > _LONGER and beyond > 1
        far = beyond + max(below, 0.0) if unknown else beyond
        found = {
            f"points the opposite way: log odds {against:.1f}, alignment {aligned:.2f}": against > limits.opposition,
            f"points away from the others: {below:.1f} deviations below usual, and no round speaks for it": (
                unknown and aligned < -ALIGNED and alone and below > limits.alignment
            ),
            f"is much longer than the others: {norm:.3g}, {above:.1f} deviations above usual": above > limits.norm,
            f"resembles nobody, neither along nor against: {self.resemblance[row]:.2f} of what is usual": lost,
            f"is long and lies {beyond:.1f} deviations farther out than usual: alignment {aligned:.2f}": (
                outside and far > limits.krum
            ),
            f"contributes next to nothing: length {norm:.3g}": norm < limits.least_norm * self.usual_norm,
        }
        return [reason for reason, holds in found.items() if holds]


def gather_alone(gram: Float64, byzantine: float = BYZANTINE) -> Evidence:
    """Return the evidence on the n updates of one round, by that round alone; arguments as of `gather`."""
    return gather(gram, opposition([(np.arange(len(gram)), gram)], len(gram)), byzantine)


def gather(gram: Float64, against: Float64, byzantine: float = BYZANTINE) -> Evidence:
    """Return the evidence on the n updates of one round.

    Args:
        gram: inner products of their deltas, shape (n, n).
        against: opposition of their clients, shape (n,), by all rounds looked at.
        byzantine: share of the clients that Krum is to withstand.
    """
    krum = krum_scores(gram, tolerated(len(gram), byzantine))
    aligned = alignments(gram)
    similar = cosines(gram)
    lengths = norms(gram)
    moving = lengths > 1e-9 * lengths.max()
    trusted = moving & (aligned > ALIGNED)
    reference = trusted if trusted.sum() >= max(3, len(gram) / 2 - 1) else moving
    if not reference.any():
        reference = np.ones(len(gram), bool)
    return Evidence(
        norm=lengths,
        usual_norm=float(np.median(lengths)),
        norm_score=robust_scores(np.log(np.maximum(lengths, _TINY)), reference, _LENGTH_SPREAD),
        alignment=aligned,
        alignment_score=_alignment_scores(aligned),
        krum=krum,
        krum_score=robust_scores(np.log(np.maximum(krum, _TINY)) / 2, reference, _LENGTH_SPREAD),
        resemblance=resemblances(similar, trusted),
        company=_company(similar, trusted),
        opposition=against,
    )


def resemblances(similar: Float64, aligned: NDArray[np.bool_]) -> Float64:
    """Return the root mean square of each update's cosines with the others, shape (n,), over the median among those
    that are `aligned`; 1 throughout where nothing is like anything.
    """
    squares = similar**2
    np.fill_diagonal(squares, 0.0)
    found = np.sqrt(squares.sum(axis=1))
    usual = float(np.median(found[aligned] if aligned.any() else found))
    return found / usual if usual > 0 else np.ones(len(similar))


def _company(similar: Float64, aligned: NDArray[np.bool_]) -> Float64:
    """Return each update's greatest cosine with another one that is aligned; -1 where there is none."""
    among = np.where(aligned[None, :], similar, -1.0)
    np.fill_diagonal(among, -1.0)
    return np.asarray(among.max(axis=1))


def _alignment_scores(aligned: Float64) -> Float64:
    """Return robust scores of alignments against the distribution of their absolute values."""
    both = np.concatenate([aligned, np.abs(aligned)])
    return robust_scores(both, np.arange(len(both)) >= len(aligned), _ALIGNMENT_SPREAD)[: len(aligned)]
