"""A predictor in process, whose programs run in processes of their own as in production."""

import hashlib
import json
from typing import Any

import httpx
import numpy as np

from flstore_core.ids import ShardId
from flstore_core.model_names import ModelName
from flstore_core.models.protocol import RunRequest
from flstore_core.patterns import Pattern
from services.common.proof import Keys
from services.predictor.app import create_app
from services.predictor.settings import Settings
from services.predictor.state import State, create_state
from tests.fakes.clock import Clock
from tests.fakes.store import MemoryStore
from tests.models.small import DATA, JOB, SCHEMA, program, put_dataset, world
from tests.predictor.processes import launcher

ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)


class Predictor:
    """A predictor over a store in memory, spoken to over HTTP without a socket."""

    def __init__(self, **changes: Any) -> None:
        self.store: MemoryStore = world()
        self.clock = Clock()
        fields = {"cache_bytes": 10**7, "policy": "lru", "refresh_seconds": 2.0}
        settings = Settings(ShardId("predictor-3"), **{**fields, **changes})
        self.state: State = create_state(settings, self.store, self.clock, launcher())
        self.app = create_app(self.state, Keys())
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://predictor")

    def request(self, *names: ModelName, **changes: Any) -> dict[str, Any]:
        job = self.state.engine.library.jobs.get(JOB)
        refs = tuple(self.state.engine.library.locate(job, name) for name in names)
        sha256 = put_dataset(self.store, "test", DATA)
        fields = {
            "job": JOB,
            "digest": SCHEMA.digest,
            "program": hashlib.sha256(program()).hexdigest(),
            "datasets": {"test": sha256},
            "workload": "evaluate",
            "pattern": Pattern.P2,
            "params": {"dataset": "test"},
            "models": refs,
        }
        message: dict[str, Any] = json.loads(json.dumps(RunRequest(**{**fields, **changes}).to_json()))
        return message

    async def infer(self, version: str, rows: Any = ROWS, job: str = JOB, name: str = "images") -> httpx.Response:
        tensor = {"name": name, "datatype": "FP32", "shape": list(rows.shape), "data": rows.ravel().tolist()}
        path = f"/v2/models/{job}" + (f"/versions/{version}" if version else "") + "/infer"
        return await self.http.post(path, json={"inputs": [tensor]})
