"""Makes the aggregate of an open round out of its updates, next to the data: no server of a training has to hold them.

The workload `aggregate` computes the model, and the model is stored as any upload of an aggregate is. With it goes how
it was made, as a metric of the aggregate (`flstore_core.workloads.shared.making`), so that `provenance` can make it
again. An update that comes afterwards, before the round is committed, is a member of the round that has no weight in
its aggregate.

Whoever asks again gets the same model, as long as the round has the same updates, or the request names its clients. If
it comes out another, it takes the first one's place only with `replace`. A client that is erased while the model is
made is not in it.

An early answer does not wait for the store (`services.gateway.answers.early_models`). All that can refuse the model is
asked before: it is checked, and the round is found to take it as it is then. An aggregate that comes to the round
before the store has this one stays.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from flstore_core.errors import InvalidParameters
from flstore_core.ids import AGGREGATE, JobId
from flstore_core.records import Job, Round
from flstore_core.workloads import ArtifactLink, RoundData
from flstore_core.workloads.shared.making import METRIC, making_of
from services.gateway.answers.early_models import EarlyModel, EarlyModels
from services.gateway.answers.execution import Outcome
from services.gateway.answers.question import Options
from services.gateway.answers.run import Runner
from services.gateway.rounds.ingest import Ingest
from services.gateway.rounds.opening import Rounds
from services.gateway.rounds.upload import Upload

WORKLOAD = "aggregate"


class Aggregates:
    """Makes aggregates. Safe to share between threads."""

    def __init__(self, runner: Runner, rounds: Rounds, ingest: Ingest, early: EarlyModels) -> None:
        self._runner = runner
        self._rounds = rounds
        self._ingest = ingest
        self._early = early

    def make(self, name: JobId, number: int, params: Mapping[str, Any], *, replace: bool = False) -> Outcome:
        """Make a round's aggregate, store it, and return the workload's answer.

        Args:
            params: those of the workload `aggregate`, without the round.
            replace: whether it may take the place of another aggregate.

        Raises:
            RoundCommitted: if the round is committed with another aggregate, or with none.
            Conflict: if the round has another aggregate.
            FLStoreError: as the workload and an upload do.
        """
        job = self._rounds.catalog.read_job(name)
        if (before := self._early.wait(job.home, number)) and self._is_so_still(job, before, params):
            return before.outcome
        made, upload = self._make(job, number, params, replace)
        self._ingest.put(upload)
        return made.outcome

    def make_early(
        self, name: JobId, number: int, params: Mapping[str, Any], *, replace: bool = False
    ) -> tuple[Outcome, bool]:
        """Make a round's aggregate as `make` does, and return while the store is being sent it.

        Returns:
            The answer, and whether the store has the model already, because it takes no more of them at once.
        """
        job = self._rounds.catalog.read_job(name)
        self._early.wait(job.home, number)
        made, upload = self._make(job, number, params, replace)
        store = self._ingest.begin(upload)
        if self._early.store(job.home, made, partial(store, gives_way=True)):
            return made.outcome, False
        store()
        return made.outcome, True

    def _make(self, job: Job, number: int, params: Mapping[str, Any], replace: bool) -> tuple[EarlyModel, Upload]:
        if "round" in params:
            raise InvalidParameters("the path names the round; leave it out of the parameters")
        files: list[tuple[Round, memoryview, str]] = []

        def keep(rounds: Sequence[RoundData], body: memoryview, sha256: str) -> ArtifactLink:
            files.append((rounds[0].record, body, sha256))
            href = f"/v1/jobs/{job.id}/rounds/{number}/aggregate"
            return ArtifactLink(href, sha256, len(body), job.schema.parameters)

        outcome = self._runner.run(job.id, WORKLOAD, {**params, "round": number}, Options(recompute=True, keep=keep))
        record, body, sha256 = files[-1]
        metrics = {METRIC: making_of(outcome.result, params, record).to_json()}
        upload = Upload(job, number, AGGREGATE, body, metrics, sha256, replace, is_ours=True)
        return EarlyModel(outcome, params, record, sha256, body), upload

    def _is_so_still(self, job: Job, before: EarlyModel, params: Mapping[str, Any]) -> bool:
        """Return whether an early model that is stored by now is what the same request would make now."""
        now = self._rounds.openings.read_round(job, before.record.number)
        is_there = now.aggregate is not None and now.aggregate.sha256 == before.sha256
        is_same = dataclasses.replace(now, aggregate=before.record.aggregate) == before.record
        return is_there and is_same and params == before.params
