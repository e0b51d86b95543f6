"""The calls of FLStore's API that load is made of."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flstore_core.errors import FLStoreError, Unavailable, from_problem
from flstore_core.ids import AGGREGATE
from flstore_core.retry import Retry, growing
from flstore_core.schema import Schema
from loadgen.run.connections import Pool, Reply
from loadgen.run.questions import DOWNLOAD, Catalogue, Question
from loadgen.run.synthetic_models import Models

BUSY = Retry(growing(0.1, 3.2), attempts=7)
"""Pauses of an upload that the target is too busy for; a client would do the same."""
_COST = re.compile(r'^flstore_cost_dollars_total\{kind="(\w+)"\} (\S+)$', re.MULTILINE)
_JSON = "Content-Type: application/json\r\n"
_ANEW = _JSON + "Cache-Control: no-cache\r\n"


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer's own figures."""

    hits: int = 0
    misses: int = 0
    dollars: float = 0.0
    where: str = ""


class Target:
    """One system under load.

    Args:
        anew: have the system compute each answer, even if it kept one.
    """

    def __init__(self, pool: Pool, *, anew: bool = True) -> None:
        self._pool = pool
        self._headers = _ANEW if anew else _JSON

    async def catalogue(self) -> Catalogue:
        """Return the target's workloads; raise `Unavailable` if it is no FLStore."""
        listing = await self._json("GET", "/v1/workloads")
        if not isinstance(listing, dict) or "workloads" not in listing:
            raise Unavailable(f"{self._pool.url} does not list workloads; is this the URL of an FLStore?")
        return Catalogue(listing["workloads"])

    async def create_job(self, job: str, schema: Schema, settings: Mapping[str, Any]) -> None:
        """Create a job if it does not exist; raise `Conflict` if it has another schema."""
        body = json.dumps({**settings, "schema": schema.to_json()}).encode()
        await self._json("PUT", f"/v1/jobs/{quote(job)}", body)

    async def put(self, job: str, number: int, client: str, models: Models) -> None:
        """Store a model; repeat the upload if the target is busy."""
        member = "aggregate" if client == AGGREGATE else f"clients/{quote(client)}"
        path = f"/v1/jobs/{quote(job)}/rounds/{number}/{member}"
        metrics = {} if client == AGGREGATE else models.metrics(job, number, client)
        headers = f"Content-Type: application/octet-stream\r\nX-FLStore-Metrics: {json.dumps(metrics)}\r\n"
        attempts = BUSY.begin()
        while True:
            reply = await self._pool.request("PUT", path, models.body(job, number, client), headers)
            if reply.status not in (429, 503) or not attempts.failed():
                _check(reply)
                return
            await asyncio.sleep(attempts.pause_s)

    async def commit(self, job: str, number: int) -> None:
        """Commit a round."""
        settings = json.dumps({"hyperparameters": {"learning_rate": 0.05}}).encode()
        await self._json("POST", f"/v1/jobs/{quote(job)}/rounds/{number}/commit", settings)

    async def ask(self, job: str, question: Question) -> Answered:
        """Ask a question and wait for all of its answers."""
        if len(question.params) == 1:
            return await self._ask(job, question.workload, question.params[0])
        answers = [self._ask(job, question.workload, params) for params in question.params]
        answered = await asyncio.gather(*answers)
        return Answered(
            sum(each.hits for each in answered),
            sum(each.misses for each in answered),
            sum(each.dollars for each in answered),
            answered[0].where,
        )

    async def awake(self) -> int:
        """Return the number of awake shards; wakes none."""
        caches = await self._json("GET", "/v1/cache")
        return sum(shard.get("state") != "zero" for shard in caches.get("shards", ()))

    async def costs(self) -> dict[str, float]:
        """Return the dollars in the target's metrics, by kind; empty if it has none."""
        reply = await self._pool.request("GET", "/metrics")
        costs = _COST.findall(reply.body.decode(errors="replace")) if reply.status < 400 else []
        return {kind: float(dollars) for kind, dollars in costs}

    async def _ask(self, job: str, workload: str, params: Mapping[str, Any]) -> Answered:
        if workload == DOWNLOAD:
            client = params["client"]
            member = "aggregate" if client == AGGREGATE else f"clients/{quote(client)}"
            _check(await self._pool.request("GET", f"/v1/jobs/{quote(job)}/rounds/{params['round']}/{member}"))
            return Answered(misses=1, where="download")
        path = f"/v1/jobs/{quote(job)}/workloads/{workload}"
        reply = await self._pool.request("POST", path, [json.dumps(params).encode()], self._headers)
        _check(reply)
        execution = reply.json().get("execution", {})
        dollars = (execution.get("cost") or {}).get("dollars", 0.0)
        where = execution.get("where", "")
        return Answered(execution.get("hits", 0), execution.get("misses", 0), dollars, where)

    async def _json(self, method: str, path: str, body: bytes = b"") -> Any:
        reply = await self._pool.request(method, path, [body] if body else (), _JSON if body else "")
        _check(reply)
        return reply.json()


def _check(reply: Reply) -> None:
    """Raise the error that an unsuccessful reply stands for."""
    if reply.status >= 400:
        raise _error(reply)


def _error(reply: Reply) -> FLStoreError:
    try:
        problem = json.loads(reply.body)
    except ValueError:
        problem = None
    return from_problem(problem if isinstance(problem, dict) else {"status": reply.status})
