"""Makes the aggregate of an open round out of its updates, next to the data: no server of a training has to hold them.

The workload `aggregate` computes the model, and the model is stored as any upload of an aggregate is. With it goes how
it was made, as a metric of the aggregate (`flstore_core.workloads.shared.making`), so that `provenance` can make it
again. An update that comes afterwards, before the round is committed, is a member of the round that has no weight in
its aggregate.

Whoever asks again gets the same model, as long as the round has the same updates, or the request names its clients. If
it comes out another, it takes the first one's place only with `replace`. A client that is erased while the model is
made is not in it.

With `early` the answer does not wait for the store (`services.gateway.answers.given_out`). All that can refuse the
model is asked before: it is checked, and the round is found to take it as it is then. What comes to the round before
the store has the model stays, and the model gives way to it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from flstore_core.errors import InvalidParameters
from flstore_core.ids import AGGREGATE, JobId
from flstore_core.records import Job, Round
from flstore_core.workloads import ArtifactLink, RoundData
from flstore_core.workloads.shared.making import METRIC, making_of
from services.gateway.answers.execution import Outcome
from services.gateway.answers.given_out import Given, GivenOut
from services.gateway.answers.question import Options
from services.gateway.answers.run import Runner
from services.gateway.rounds.ingest import Ingest
from services.gateway.rounds.opening import Rounds
from services.gateway.rounds.upload import Upload

WORKLOAD = "aggregate"


class Aggregates:
    """Makes aggregates. Safe to share between threads."""

    def __init__(self, runner: Runner, rounds: Rounds, ingest: Ingest, given_out: GivenOut) -> None:
        self._runner = runner
        self._rounds = rounds
        self._ingest = ingest
        self._given_out = given_out

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
        if (before := self._given_out.wait((job.home, number))) and self._is_so_still(job, before, params):
            return before.outcome
        made, upload = self._make(job, number, params, replace)
        self._ingest.put(upload)
        return made.outcome

    def give_out(
        self, name: JobId, number: int, params: Mapping[str, Any], *, replace: bool = False
    ) -> tuple[Outcome, bool]:
        """Make a round's aggregate as `make` does, and give it out while the store is being sent it.

        Returns:
            The answer, and whether the store has the model already, because too many are being stored.
        """
        job = self._rounds.catalog.read_job(name)
        self._given_out.wait((job.home, number))
        made, upload = self._make(job, number, params, replace)
        store = self._ingest.begin(dataclasses.replace(upload, gives_way=True))
        if self._given_out.give((job.home, number), made, store):
            return made.outcome, False
        store()
        return made.outcome, True

    def _make(self, job: Job, number: int, params: Mapping[str, Any], replace: bool) -> tuple[Given, Upload]:
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
        return Given(outcome, params, record, sha256, body), upload

    def _is_so_still(self, job: Job, before: Given, params: Mapping[str, Any]) -> bool:
        """Return whether a model that was given out and is stored is what the same request would make now."""
        now = self._rounds.openings.read_round(job, before.record.number)
        is_there = now.aggregate is not None and now.aggregate.sha256 == before.sha256
        return is_there and params == before.params and now.members == before.record.members
