"""What speaks against an update: evidence on its length, direction and distance, against thresholds.

A few attackers must not move the yardstick: an alignment is compared with the usual *size* of an alignment, which
turning an update around does not change; lengths and distances are compared with those of the aligned clients.
"""

from dataclasses import dataclass

import numpy as np

from flstore_core.workloads.geometry import Float64, alignments, norms, robust_scores

ALIGNED = 0.1
"""Least cosine similarity with the others' direction that counts as going along; its negative counts as against."""

_ALIGNMENT_SPREAD = 0.15
_LENGTH_SPREAD = 0.25
_TINY = 1e-30


@dataclass(frozen=True)
class Thresholds:
    """Robust standard deviations past which each measure accuses, and the least length as a share of the usual."""

    alignment: float
    norm: float
    krum: float
    least_norm: float


@dataclass(frozen=True)
class Evidence:
    """Measures of n updates and how far each stands out, all of shape (n,)."""

    norm: Float64
    norm_score: Float64
    alignment: Float64
    alignment_score: Float64
    krum: Float64
    krum_score: Float64

    def reasons(self, row: int, limits: Thresholds) -> list[str]:
        """Return why update `row` is accused, in words; nothing if it is not."""
        norm, aligned = float(self.norm[row]), float(self.alignment[row])
        below, above, beyond = -self.alignment_score[row], self.norm_score[row], self.krum_score[row]
        found = {
            f"points away from the others: alignment {aligned:.2f}, {below:.1f} deviations below usual": (
                aligned < -ALIGNED and below > limits.alignment
            ),
            f"is much longer than the others: {norm:.3g}, {above:.1f} deviations above usual": above > limits.norm,
            f"lies {beyond:.1f} deviations farther out than usual and not the others' way: alignment {aligned:.2f}": (
                aligned < ALIGNED and beyond > 1 and beyond + max(below, 0.0) > limits.krum
            ),
            f"contributes next to nothing: length {norm:.3g}": norm < limits.least_norm * np.median(self.norm),
        }
        return [reason for reason, holds in found.items() if holds]


def gather(gram: Float64, krum: Float64) -> Evidence:
    """Return the evidence on n updates from the Gram matrix of their deltas and their Krum scores."""
    aligned = alignments(gram)
    lengths = norms(gram)
    moving = lengths > 1e-9 * lengths.max()
    trusted = moving & (aligned > ALIGNED)
    reference = trusted if trusted.sum() >= max(3, len(gram) / 2 - 1) else moving
    if not reference.any():
        reference = np.ones(len(gram), bool)
    return Evidence(
        norm=lengths,
        norm_score=robust_scores(np.log(np.maximum(lengths, _TINY)), reference, _LENGTH_SPREAD),
        alignment=aligned,
        alignment_score=_alignment_scores(aligned),
        krum=krum,
        krum_score=robust_scores(np.log(np.maximum(krum, _TINY)) / 2, reference, _LENGTH_SPREAD),
    )


def _alignment_scores(aligned: Float64) -> Float64:
    """Return robust scores of alignments against the distribution of their absolute values."""
    both = np.concatenate([aligned, np.abs(aligned)])
    return robust_scores(both, np.arange(len(both)) >= len(aligned), _ALIGNMENT_SPREAD)[: len(aligned)]
