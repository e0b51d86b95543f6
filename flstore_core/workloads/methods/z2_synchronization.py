"""Opposition: the log odds that a client sends the opposite of what it learned, from its updates over many rounds.

The idea. Honest updates from unlike data point many ways, but two of them are hardly ever nearly opposite. So where
two updates are nearly opposite, one was turned around. One pair does not show which of the two. All pairs together
do: give every client a sign, +1 for honest and -1 for turned around; then the cosine similarity of two updates is a
noisy measurement of the product of their clients' signs. To recover signs from noisy products of pairs is known as
"Z2 synchronization" (Javanmard, Montanari, Ricci-Tersenghi 2016, Phase Transitions in Semidefinite Relaxations, PNAS
113:16). Turning all signs at once changes no product; the prior that most clients are honest decides between the two.

The signs' posterior is approximated by a mean field: each client has a belief between -1 and 1 (its expected sign),
which starts at 0. In each sweep, client i's log odds of honesty become the prior plus, over all pairs (i, j), the log
odds that i and j are of one kind times the belief in j::

    odds_i = PRIOR + sum over rounds and j of 12 cos_ij³ belief_j        belief_i = tanh(odds_i / 2)

Beliefs move half of the way in each sweep, which keeps them from swinging, until they settle.

Example: four clients in one round. The first three are alike, with cosine similarities of 0.6; the last one has -0.6
with each of them. A pair then has log odds of 12 · 0.6³ = 2.59, for or against being of one kind. With beliefs near
1, 1, 1 and -1, an honest client has 0.85 + 3 · 2.59 = 8.6, and the last one 0.85 - 3 · 2.59 = -6.9. Opposition is the
negative::

    >>> cosine = np.full((4, 4), 0.6) + 0.4 * np.eye(4)
    >>> cosine[3, :3] = cosine[:3, 3] = -0.6
    >>> opposition([(np.arange(4), cosine)], 4).round(1).tolist()
    [-8.6, -8.6, -8.6, 6.9]

Had only the last two met, either could be the one that was turned around. Both would lose trust, and neither would be
accused::

    >>> opposition([(np.array([2, 3]), cosine[2:, 2:])], 4).round(2).tolist()
    [-0.85, -0.85, -0.37, -0.37]
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import Float64, cosines

PRIOR = 0.85
"""Log odds that a client is honest before any of its updates is seen: 7 to 3."""

_STRENGTH = 12.0
"""Log odds that two updates with a cosine similarity of 1 are of one kind.

The log odds fall with the similarity's cube. A similarity of 0.3, of either sign, is common between honest clients with
unlike data and weighs next to nothing (0.32); one of 0.6 gives odds of 13 to 1.
"""

_SWEEPS = 60
_SETTLED = 1e-6
"""Change of a belief below which sweeping ends."""
_DAMPING = 0.5
"""Part of the way to its new value that a belief moves in a sweep."""


def opposition(rounds: Sequence[tuple[NDArray[np.intp], Float64]], clients: int) -> Float64:
    """Return the log odds that each client sends the opposite of what it learned, shape (clients,).

    A client that no other is like or opposite to is left at `-PRIOR`.

    Args:
        rounds: each round's clients by their numbers, shape (n,), and the Gram matrix of their deltas, shape (n, n).
        clients: how many clients there are; their numbers are below it.
    """
    numbers, pair_odds = _padded(rounds, clients)
    belief = np.zeros(clients + 1)  # the last one stands for the padding, and stays 0
    odds = np.full(clients, PRIOR)
    for _ in range(_SWEEPS):
        step = _DAMPING * (np.tanh(odds / 2) - belief[:clients])
        if np.abs(step).max() < _SETTLED:
            break
        belief[:clients] += step
        votes = (pair_odds @ belief[numbers][..., None])[..., 0]
        odds = PRIOR + np.bincount(numbers.ravel(), votes.ravel(), clients + 1)[:clients]
    return -odds


def _padded(rounds: Sequence[tuple[NDArray[np.intp], Float64]], clients: int) -> tuple[NDArray[np.intp], Float64]:
    """Return all rounds as one batch, which a sweep multiplies at once.

    Returns:
        The numbers of each round's clients, shape (rounds, most), padded with the number `clients`; and the log odds
        that each pair is of one kind, shape (rounds, most, most), padded with 0.
    """
    most = max(len(members) for members, _ in rounds)
    numbers = np.full((len(rounds), most), clients)
    similarities = np.zeros((len(rounds), most, most))
    for row, (members, gram) in enumerate(rounds):
        numbers[row, : len(members)] = members
        similarities[row, : len(members), : len(members)] = cosines(gram)
    similarities[:, np.arange(most), np.arange(most)] = 0.0
    return numbers, _STRENGTH * similarities**3
