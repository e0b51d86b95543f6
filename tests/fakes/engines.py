"""Backends without processes: a shard's real engine behind the wire, and a predictor that knows what it will answer."""

import json
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from flstore_core import codec
from flstore_core.cache import Cache, Ledger
from flstore_core.errors import FLStoreError
from flstore_core.ids import ClientId, JobId
from flstore_core.models.protocol import PROGRESS, RUN, STREAM_TYPE, WORK, RunRequest
from flstore_core.policies.registry import make_policy
from flstore_core.shard.engine import Engine
from flstore_core.shard.protocol import (
    COMMITS,
    MAP,
    MESSAGE_HEADER,
    SLICES,
    STATISTICS,
    WORK_HEADER,
    Answer,
    CommitMessage,
    MapRequest,
    StatisticsRequest,
    UploadMessage,
    Work,
)
from flstore_core.storage import ObjectStore
from flstore_core.workloads import Partial
from tests.fakes.wire import Reply, Sent


class EngineWire:
    """Answers as the shards of one store: all of them share one engine, which holds every slice.

    Attributes:
        trouble: raised, as the shard's answer, by every call.
    """

    def __init__(self, store: ObjectStore, clock: Callable[[], float], budget: int = 1 << 24) -> None:
        self.engine = Engine(store, Cache(Ledger(make_policy("lru+arrival", budget, clock, Random(0)), budget, clock)))
        self.trouble: FLStoreError | None = None

    def __call__(self, sent: Sent) -> Reply:
        try:
            if self.trouble:
                raise self.trouble
            return self._answer(sent, urlsplit(sent.url).path)
        except FLStoreError as error:
            return Reply.problem(error)

    def _answer(self, sent: Sent, path: str) -> Reply:
        if path == SLICES:
            message = UploadMessage.from_json(json.loads(sent.headers[MESSAGE_HEADER]))
            data = np.frombuffer(sent.body, np.uint8)
            return Reply.of({"admitted": self.engine.put(message.part, message.member, message.base, data)})
        if path == STATISTICS:
            return _reply(self.engine.statistics(StatisticsRequest.from_json(sent.message)))
        if path == MAP:
            return _reply(self.engine.map(MapRequest.from_json(sent.message))[0])
        if path == COMMITS:
            commit = CommitMessage.from_json(sent.message)
            self.engine.commit(commit.part, commit.round)
        elif sent.method == "DELETE":
            _, _, _, job, *client = path.split("/")
            if client:
                return Reply.of({"dropped": self.engine.forget_client(JobId(job), ClientId(client[1]))})
            return Reply.of({"dropped": self.engine.forget_job(JobId(job))})
        elif path == "/v1/inventory":
            return Reply.of(self.engine.inventory())
        elif path == "/v1/cache/explain":
            return Reply.of({"cached": True, "since": 1.0, "why": "demand", "pinned": False})
        return Reply(status=204)


class PredictorWire:
    """Answers every run with one partial, after telling of `steps` steps.

    Attributes:
        requests: what was asked.
    """

    def __init__(self, partial: Partial, work: Work, steps: int = 0) -> None:
        self._partial = partial
        self._work = work
        self._steps = steps
        self.requests: list[RunRequest] = []

    def __call__(self, sent: Sent) -> Reply:
        assert urlsplit(sent.url).path == RUN
        self.requests.append(RunRequest.from_json(sent.message))
        body = codec.dumps(self._partial)
        if not self._steps:
            return Reply(body, headers={WORK_HEADER: self._work.to_header()})
        lines: list[dict[str, Any]] = [{PROGRESS: [step, self._steps]} for step in range(self._steps)]
        lines.append({WORK: self._work.to_json()})
        return Reply(
            [*(json.dumps(line).encode() + b"\n" for line in lines), body], headers={"Content-Type": STREAM_TYPE}
        )


def _reply(answer: Answer) -> Reply:
    body = b"".join(answer.parts)
    return Reply(body, headers={**answer.headers, "Content-Length": str(len(body))})
