"""Evidence against an update: its length, direction and distance, measured against the other updates of its round.

The idea: each measure of an update is turned into a score, its distance from the usual value in robust standard
deviations (Iglewicz and Hoaglin 1993: median, and median absolute deviation). A score beyond a threshold is a reason
to accuse the client. Two things make that hard.

A few attackers must not change what is usual. Lengths and distances are therefore compared with those of the clients
that are aligned with the others. An alignment is compared with the usual *absolute* alignment, which stays the same
when an update is turned around.

Honest updates from unlike data point away from each other too, and lie far apart. Direction alone therefore accuses
only where updates are nearly opposite, over rounds (`z2_synchronization`). The weaker signs (pointing away,
resembling nobody as noise does, lying somewhat far out) count only against a client for whom no round speaks.
Pointing away and lying far out count only if no aligned update goes the same way.

Example: five updates of length 1 in four dimensions. Four share most of their direction, e0, and differ a little; the
last one is one of them, fifty times as long. Only its length stands out, at log(50) / 0.25 = 15.6 deviations, where
0.25 is the least spread assumed of the logarithms of honest lengths::

    >>> deltas = np.array([[4.0, 1, 0, 0], [4, 0, 1, 0], [4, 0, 0, 1], [4, -1, 0, 0], [4, 0, -1, 0]]) / 17**0.5
    >>> deltas[4] *= 50
    >>> evidence = gather_alone(deltas @ deltas.T)
    >>> [len(evidence.reasons(row, Thresholds())) for row in range(5)]
    [0, 0, 0, 0, 1]
    >>> evidence.reasons(4, Thresholds())
    ['is much longer than the others: 50, 15.6 deviations above usual']
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import Float64, alignments, cosines, norms, robust_scores
from flstore_core.workloads.methods.krum import krum_scores, tolerated
from flstore_core.workloads.methods.z2_synchronization import opposition

ALIGNED = 0.1
"""Cosine similarity with the others' direction above which an update is aligned; below its negative it points away."""

COMPANY = 0.1
"""Cosine similarity with any aligned client above which an update that points away is not alone."""

LEAST_UPDATES = 4
"""Fewest updates of a round that can be judged by one another."""

BYZANTINE = 0.3
"""Share of a round's clients that Krum withstands, unless another is given."""

_VOUCHED = 2.0
"""Log odds of honesty from which on the rounds speak for a client; they are 0.85 before any update of it is seen."""

_LONGER = 2.0
"""Robust standard deviations above the usual length from which on an update is long."""
_ALIGNMENT_SPREAD = 0.15
"""Least standard deviation of honest alignments, so that near-equal ones are not told apart."""
_LENGTH_SPREAD = 0.25
"""Least standard deviation of the logarithms of honest lengths."""
_TINY = 1e-30
"""Stands for a length of zero, whose logarithm is taken."""


@dataclass(frozen=True)
class Thresholds:
    """Values beyond which each measure accuses."""

    opposition: float = 1.5
    """Log odds that a client sends the opposite of what it learned."""
    alignment: float = 3.5
    """Robust standard deviations below the usual alignment."""
    norm: float = 6.0
    """Robust standard deviations above the usual length."""
    krum: float = 5.5
    """Robust standard deviations above the usual Krum distance."""
    least_norm: float = 0.01
    """Least length, as a share of the usual one."""
    least_resemblance: float = 0.25
    """Least resemblance with the others, as a share of the usual one."""


@dataclass(frozen=True)
class Evidence:
    """Measures of n updates, and their scores in robust standard deviations; arrays of shape (n,)."""

    norm: Float64
    """Lengths."""
    usual_norm: float
    """The median length."""
    norm_score: Float64
    """Scores of the lengths' logarithms."""
    alignment: Float64
    """Cosine similarities with the robust direction of the others."""
    alignment_score: Float64
    """Their scores; negative below the usual alignment."""
    krum: Float64
    """Krum scores: sums of squared distances to the nearest others."""
    krum_score: Float64
    """Scores of the logarithms of their roots, which are distances."""
    resemblance: Float64
    """Root mean square of the cosine similarities with the others, over the usual one."""
    company: Float64
    """Greatest cosine similarity with another client that is aligned."""
    opposition: Float64
    """Log odds that a client sends the opposite of what it learned, from all rounds looked at."""

    def reasons(self, row: int, limits: Thresholds) -> list[str]:
        """Return the reasons to accuse update `row`, in words; none if it is not accused."""
        norm, aligned = float(self.norm[row]), float(self.alignment[row])
        below, above, beyond = -self.alignment_score[row], self.norm_score[row], self.krum_score[row]
        against = float(self.opposition[row])
        alone = self.company[row] < COMPANY
        not_vouched, not_aligned = against > -_VOUCHED, aligned < ALIGNED
        lost = not_aligned and not_vouched and self.resemblance[row] < limits.least_resemblance
        outside = not_aligned and alone and above > _LONGER and beyond > 1
        # For a client that no round vouches for, missing alignment adds to its distance.
        far = beyond + max(below, 0.0) if not_vouched else beyond
        reasons = {
            f"points the opposite way: log odds {against:.1f}, alignment {aligned:.2f}": against > limits.opposition,
            f"points away from the others: {below:.1f} deviations below usual, and no round speaks for it": (
                not_vouched and aligned < -ALIGNED and alone and below > limits.alignment
            ),
            f"is much longer than the others: {norm:.3g}, {above:.1f} deviations above usual": above > limits.norm,
            f"resembles nobody, neither along nor against: {self.resemblance[row]:.2f} of what is usual": lost,
            f"is long and lies {beyond:.1f} deviations farther out than usual: alignment {aligned:.2f}": (
                outside and far > limits.krum
            ),
            f"contributes next to nothing: length {norm:.3g}": norm < limits.least_norm * self.usual_norm,
        }
        return [reason for reason, holds in reasons.items() if holds]


def gather_alone(gram: Float64, byzantine: float = BYZANTINE) -> Evidence:
    """Return the evidence on the n updates of one round, from that round alone; arguments as of `gather`."""
    return gather(gram, opposition([(np.arange(len(gram)), gram)], len(gram)), byzantine)


def gather(gram: Float64, against: Float64, byzantine: float = BYZANTINE) -> Evidence:
    """Return the evidence on the n updates of one round.

    Args:
        gram: inner products of their deltas, shape (n, n).
        against: opposition of their clients, shape (n,), from all rounds looked at.
        byzantine: share of the clients that Krum is to withstand.
    """
    krum = krum_scores(gram, tolerated(len(gram), byzantine))
    aligned = alignments(gram)
    similar = cosines(gram)
    lengths = norms(gram)
    moving = lengths > 1e-9 * lengths.max()
    trusted = moving & (aligned > ALIGNED)
    # What is usual is measured on the aligned updates where these are about half of all, else on all but zero ones.
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
    """Return how much each update resembles the others, relative to what is usual, shape (n,).

    That is the root mean square of its cosine similarities with the others, over the median of those of the `aligned`
    updates, or of all if none is aligned. It is 1 for all if the median is 0.

    Args:
        similar: cosine similarities, shape (n, n).
        aligned: whether each update is aligned with the others, shape (n,).
    """
    squares = similar**2
    np.fill_diagonal(squares, 0.0)
    lengths = np.sqrt(squares.sum(axis=1))
    usual = float(np.median(lengths[aligned] if aligned.any() else lengths))
    return lengths / usual if usual > 0 else np.ones(len(similar))


def _company(similar: Float64, aligned: NDArray[np.bool_]) -> Float64:
    """Return each update's greatest cosine similarity with another one that is aligned; -1 if there is none."""
    among = np.where(aligned[None, :], similar, -1.0)
    np.fill_diagonal(among, -1.0)
    return np.asarray(among.max(axis=1))


def _alignment_scores(aligned: Float64) -> Float64:
    """Return robust scores of alignments against the distribution of their absolute values."""
    both = np.concatenate([aligned, np.abs(aligned)])
    return robust_scores(both, np.arange(len(both)) >= len(aligned), _ALIGNMENT_SPREAD)[: len(aligned)]
