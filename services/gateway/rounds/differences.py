"""Finds out whether a round's updates are models or differences, for a job that never said so.

Some frameworks send what training ended with, others how far it moved (NVFlare's `ParamsType.DIFF`). Who takes one for
the other gets answers that look right and are wrong: as models, all differences point away from the base, and an
attacker among them cannot be told from the others. The round's aggregate says which they are. A server that averages
models stores about their mean; one that averages differences stores about the base plus their mean.

Example: the base is 5, and the updates are 1.0 and 1.2. If they are models, an aggregate near 1.1 is expected; if they
are differences, one near 6.1. The aggregate is 6.1, so they are differences.

Either distance follows from the statistics that are computed anyway, as models or as differences. The second are
computed only where the first do not explain the aggregate: never where the server averages by the weights that it
stored, and at each commit where it does something else (momentum, a median) and the job does not say what it sends.
The finding needs a factor of ten between the distances, which no rule of aggregation bridges while a round moves the
model by less than a few times its own length. Without an aggregate, a base or statistics, nothing is found.
"""

from dataclasses import replace

import numpy as np

from flstore_core.errors import FLStoreError
from flstore_core.ids import AGGREGATE
from flstore_core.records import Job, Round, Updates
from flstore_core.statistics import RoundStatistics
from flstore_core.workloads import fedavg_weights
from services.gateway.rounds.statistics import Statistics

EXPLAINED = 0.1
"""Distance of the aggregate from what is expected, as a share of the deltas' length, that needs no second look."""
NEARER = 10.0
"""How many times nearer the aggregate has to be to the other expectation."""

_OTHER = {Updates.WEIGHTS: Updates.DELTA, Updates.DELTA: Updates.WEIGHTS}


def measure(statistics: Statistics, job: Job, record: Round) -> tuple[Round, RoundStatistics | None]:
    """Return a round that is to be committed, with what its updates are, and its statistics.

    Errors are those of `Statistics.compute`.
    """
    found, _ = statistics.compute(job, record)
    if job.updates_stated or record.base is None or not record.members or not record.aggregate or not found:
        return record, found
    distance, usual = _distance(record, found)
    if distance <= EXPLAINED * usual:
        return record, found
    other = replace(record, updates=_OTHER[job.updates_of(record.updates)])
    try:
        otherwise, _ = statistics.compute(job, other)
    except FLStoreError as error:
        if error.code == FLStoreError.code and job.is_of_version_1:  # shards of version 0.1.0 know no differences
            return record, found
        raise
    if otherwise and NEARER * _distance(other, otherwise)[0] <= distance:
        return other, otherwise
    return record, found


def _distance(record: Round, statistics: RoundStatistics) -> tuple[float, float]:
    """Return the distance of the aggregate from FedAvg of the updates, and the updates' root mean square length."""
    rows = statistics.take([*(member.client for member in record.members), AGGREGATE])
    mean = fedavg_weights([member.num_examples for member in record.members])
    apart = np.append(mean, -1.0)
    square = float(apart @ rows.gram @ apart)
    return max(square, 0.0) ** 0.5, float(rows.gram.diagonal()[:-1].mean()) ** 0.5
