"""Records a training as it runs, and says before each aggregation whom the store advises against.

A framework's adapter calls `Recorder`, and nothing else: `begin` with the initial model; for each round, `update` as
clients' updates arrive, `advise` before they are aggregated and `close` with the aggregate; `finish` at the end. Rounds
are numbered from 1. The initial model is round 0, so that the first differences are taken against it.

The training never waits longer for the store than its `Limits` allow, and never fails because of it. What the store
does not take is kept, in memory and then on disk, and sent again. How the work is divided:

- `journal`: what is to be recorded, and in which order. Decides; does nothing.
- `shelf`: models that wait to be stored, within bounds.
- `leftovers`: rounds that could not be recorded before a training ended, and that a later one takes up.
- `desk`: the calls that open a job, store an update and close a round.
- `clerk`: the threads that take steps from the journal to the desk, and begin again after the store was away.
- `follower`: a tracker, such as MLflow's, that is told of what has been recorded.
- `fitting`: models in the dtypes of their job, and with `ranks` LoRA adapters in its rank.
- `advice`: what workloads answer, as factors on clients' weights.
- `direct`: what a training does in the store itself, beside the clerk, where clients store their own updates.
- `recorder`: the part that a training sees.
"""

from flstore_core.integrations.recorder.advice import Advice, Adviser, Mode
from flstore_core.integrations.recorder.follower import Tracker
from flstore_core.integrations.recorder.limits import Limits
from flstore_core.integrations.recorder.recorder import Recorder
from flstore_core.integrations.recorder.report import Report

__all__ = ["Advice", "Adviser", "Limits", "Mode", "Recorder", "Report", "Tracker"]
