"""Calls of predictors, which hold whole models and run them."""

import json
from collections.abc import Sequence
from functools import partial

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import ProtocolError

from flstore_core import codec
from flstore_core.errors import from_problem
from flstore_core.models.protocol import PROBLEM, PROGRESS, RUN, STREAM_TYPE, WORK, RunRequest
from flstore_core.shard.protocol import Work
from flstore_core.workloads import Partial, Progress
from services.gateway.backends.calls import CHUNK, Calls, encode, read_answer


class Predictors:
    """Calls predictors by their addresses. Safe to share between threads."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def close(self) -> None:
        self._calls.close()

    def run(self, urls: Sequence[str], request: RunRequest, progress: Progress) -> tuple[Partial, Work]:
        """Return the partial of a workload's `run`, from the first predictor that answers.

        Args:
            progress: hears of every step of a long run, and ends the run by raising.
        """
        read = partial(_read_run, progress=progress)
        body, work = self._calls.send("POST", urls, RUN, read, body=encode(request.to_json()))
        return codec.loads(body)[0], work


def _read_run(response: BaseHTTPResponse, progress: Progress) -> tuple[bytes, Work]:
    """Return a run's answer and what it took; a long run's lines of progress come before."""
    if response.headers.get("Content-Type") != STREAM_TYPE:
        return read_answer(response)
    rest, chunks = b"", response.stream(CHUNK)
    try:
        for chunk in chunks:
            rest += chunk
            while b"\n" in rest:
                text, _, rest = rest.partition(b"\n")
                line = json.loads(text)
                if PROBLEM in line:
                    raise from_problem(line[PROBLEM])
                if WORK in line:
                    return b"".join([rest, *chunks]), Work(**line[WORK])
                progress(*line[PROGRESS])
    finally:
        response.close()
    raise ProtocolError("the predictor's answer broke off")
