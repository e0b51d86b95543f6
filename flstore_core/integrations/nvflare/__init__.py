"""NVFlare trainings, recorded in FLStore and advised by it: two components of a job's server, and filters.

`FLStoreAggregator` takes the place of FedAvg's own averaging, or stands around another aggregator. It alone can follow
advice. `FLStoreObserver` stands beside any workflow, and records what its events tell.

- `aggregator`, `observer`: the two components.
- `hooks`: what both do at events.
- `references`, `filters`: trainings whose server holds no client's model, on the server and in a job's filters.
- `chapters`: the rounds of a training, as both tell of them.
- `averaging`: the average of what clients sent.
- `models`: models of NVFlare as arrays.
- `configured`: arguments that an exported job can hold. It holds no token: the server has one in `FLSTORE_TOKEN`.
"""

from flstore_core.integrations.nvflare.aggregator import FLStoreAggregator
from flstore_core.integrations.nvflare.filters import by_reference
from flstore_core.integrations.nvflare.observer import FLStoreObserver

__all__ = ["FLStoreAggregator", "FLStoreObserver", "by_reference"]
