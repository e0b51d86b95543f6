"""Calls of predictors, which hold whole models and run them."""

import json
from collections.abc import Sequence
from functools import partial

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import ProtocolError

from flstore_core.errors import from_problem
from flstore_core.formats import from_known
from flstore_core.models.protocol import PROBLEM, PROGRESS, RUN, STREAM_TYPE, WORK, RunRequest
from flstore_core.shard.protocol import Work
from flstore_core.workloads import Partial, Progress
from services.gateway.backends.calls import CHUNK, Calls, decode, encode, read_answer


class Predictors:
    """Calls predictors by their addresses. Safe to share between threads."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def close(self) -> None:
        self._calls.close()

    def run(self, urls: Sequence[str], request: RunRequest, progress: Progress) -> tuple[Partial, Work]:
        """Return the partial of a workload's `run`, from the first predictor that answers.

        Args:
            progress: called after every step of a long run; raises to give the run up.
        """
        read = partial(_read_partial, progress=progress)
        return self._calls.send("POST", urls, RUN, read, body=encode(request.to_json()))


def _read_partial(response: BaseHTTPResponse, progress: Progress) -> tuple[Partial, Work]:
    body, work = _read_run(response, progress)
    return decode(body), work


def _read_run(response: BaseHTTPResponse, progress: Progress) -> tuple[bytes, Work]:
    """Return a run's answer and what it took.

    The response to a long run is a stream: one line of JSON a step, then a line with the work, then the answer's bytes.
    """
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
                if WORK in line:  # the last line: all that follows is the answer, which may contain line feeds
                    return b"".join([rest, *chunks]), from_known(Work, line[WORK])
                progress(*line[PROGRESS])
    finally:
        response.close()  # given up in its midst, the connection could not be used for another call
    raise ProtocolError("the predictor's answer broke off")
