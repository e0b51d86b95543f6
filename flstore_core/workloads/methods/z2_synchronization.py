"""Who sends the opposite of what it learned: told from who goes with whom, and against whom, over many rounds.

Honest updates from unlike data point many ways, but hardly ever nearly opposite ones; where two do, one of them was
turned around. One pair does not tell which of the two. The net of all pairs over rounds does, since most clients are
honest: signs from noisy products of pairs are "Z2 synchronization" (Javanmard, Montanari, Ricci-Tersenghi 2016, Phase
Transitions in Semidefinite Relaxations, PNAS 113:16), here in the mean field.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import Float64, cosines

PRIOR = 0.85
"""Log odds that a client is honest, before anything is known of it: 7 to 3."""

_STRENGTH = 12.0
"""Log odds that two updates are of one kind, for a cosine similarity of 1. They fall with its cube: 0.3 tells hardly
anything, as it is common between honest clients of unlike data both ways, and 0.6 tells 13 to 1."""

_SWEEPS = 60
_SETTLED = 1e-6
"""Change of a belief, which lies between -1 and 1, below which sweeping ends."""
_DAMPING = 0.5


def opposition(rounds: Sequence[tuple[NDArray[np.intp], Float64]], clients: int) -> Float64:
    """Return the log odds that each client sends the opposite of what it learned, shape (clients,).

    A client that nobody is like or opposite to is left at `-PRIOR`.

    Args:
        rounds: of each round the numbers of its clients, shape (n,), and the Gram matrix of their deltas, shape (n, n).
        clients: how many there are; their numbers are below it.
    """
    places, evidence = _padded(rounds, clients)
    belief, honest = np.zeros(clients + 1), np.full(clients, PRIOR)
    for _ in range(_SWEEPS):
        step = _DAMPING * (np.tanh(honest / 2) - belief[:clients])
        if np.abs(step).max() < _SETTLED:
            break
        belief[:clients] += step
        told = (evidence @ belief[places][..., None])[..., 0]
        honest = PRIOR + np.bincount(places.ravel(), told.ravel(), clients + 1)[:clients]
    return -honest


def _padded(rounds: Sequence[tuple[NDArray[np.intp], Float64]], clients: int) -> tuple[NDArray[np.intp], Float64]:
    """Return the rounds' clients, shape (rounds, most), padded with the number `clients`; and the log odds that each
    pair of them is of one kind, shape (rounds, most, most).
    """
    most = max(len(numbers) for numbers, _ in rounds)
    places = np.full((len(rounds), most), clients)
    similar = np.zeros((len(rounds), most, most))
    for row, (numbers, gram) in enumerate(rounds):
        places[row, : len(numbers)] = numbers
        similar[row, : len(numbers), : len(numbers)] = cosines(gram)
    similar[:, np.arange(most), np.arange(most)] = 0.0
    return places, _STRENGTH * similar**3
