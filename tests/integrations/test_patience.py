"""How long a round waits for a store that is slow in each of its calls."""

import threading

from flstore_core.integrations.recorder.patience import Patience


def test_a_round_waits_for_all_calls_together_no_longer_than_its_deadline() -> None:
    times = iter([0.0, 1.5, 10.0, 10.75, 20.0, 20.0])
    patience, changed = Patience(2.0, times.__next__), threading.Condition()
    with changed:
        assert patience.wait(changed, lambda: True)
        assert patience.left_s == 0.5
        assert patience.wait(changed, lambda: True)
        assert patience.left_s == -0.25
        assert not patience.wait(changed, lambda: False)  # at once
