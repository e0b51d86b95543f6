"""Speaks to shards. Everything a shard holds is soft, so a call that breaks off is simply made again."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import numpy as np
import urllib3
from urllib3.exceptions import HTTPError, ProtocolError

from flstore_core import buffers, codec
from flstore_core.errors import FLStoreError, StoreUnavailable, Unavailable, from_problem
from flstore_core.ids import ShardId
from flstore_core.models.protocol import STREAM_TYPE, RunRequest
from flstore_core.shard.protocol import MapRequest, MemberRef, SliceRef, StatisticsRequest, Work
from flstore_core.statistics import RoundStatistics
from flstore_core.workloads import Partial, Progress
from services.common.logs import REQUEST_ID_HEADER, current_request_id

logger = logging.getLogger(__name__)

T = TypeVar("T")

MESSAGE_HEADER = "X-FLStore-Message"
WORK_HEADER = "X-FLStore-Work"
CHUNK = 2**20
"""Bytes read at once of a long answer."""
PAUSES = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0, 2.0)
"""Seconds before each attempt of a call; a killed shard has been replaced long before the last."""


class Shards:
    """Calls shards by their address; safe to share between threads.

    Args:
        timeout: seconds that one attempt may take, a cold start included; no attempt begins later than that.
        clock: seconds, never going back.
        sleep: waits the given seconds.
    """

    def __init__(self, timeout: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._http = urllib3.PoolManager(num_pools=64, maxsize=32, retries=False, timeout=urllib3.Timeout(timeout))
        self._timeout = timeout
        self._clock = clock
        self._sleep = sleep

    def put_slice(
        self, urls: Sequence[str], part: SliceRef, member: MemberRef, base: MemberRef | None, body: list[memoryview]
    ) -> None:
        """Hand a slice's packed bytes to every one of its shards."""
        message = {"part": asdict(part), "member": asdict(member), "base": asdict(base) if base else None}
        headers = {MESSAGE_HEADER: json.dumps(message), "Content-Length": str(sum(piece.nbytes for piece in body))}
        for url in urls:
            self._call("PUT", [url], "/v1/slices", body, headers)

    def statistics(self, urls: Sequence[str], request: StatisticsRequest) -> tuple[RoundStatistics, Work]:
        """Return a slice's part of a round's statistics, from the first of its shards that answers."""
        body, work = self._ask(urls, "/v1/statistics", request.to_json())
        return RoundStatistics.from_bytes(body), work

    def map(self, urls: Sequence[str], request: MapRequest) -> tuple[Partial, Work]:
        """Return a workload's partial of a slice, from the first of its shards that answers."""
        body, work = self._read("POST", urls, "/v1/map", _received, body=_json(request.to_json()))
        return codec.loads(body)[0], work

    def run(self, urls: Sequence[str], request: RunRequest, progress: Progress) -> tuple[Partial, Work]:
        """Return what running models told, from a predictor; `progress` hears of it meanwhile, and may end it."""
        message, follow = _json(request.to_json()), partial(_followed, progress=progress)
        body, work = self._read("POST", urls, "/v1/run", follow, body=message)
        return codec.loads(body)[0], work

    def committed(self, urls: Sequence[str], part: SliceRef, number: int) -> None:
        """Tell a slice's shards that a round is committed."""
        for url in urls:
            self._call("POST", [url], "/v1/commits", _json({"part": asdict(part), "round": number}))

    def inventory(self, url: str) -> dict[str, Any]:
        """Return what a shard holds. Ask an awake one only: asking wakes."""
        found: dict[str, Any] = json.loads(self._call("GET", [url], "/v1/inventory").data)
        return found

    def explain(self, url: str, key: str) -> dict[str, Any]:
        """Return why a shard holds a key or does not."""
        found: dict[str, Any] = json.loads(self._call("GET", [url], "/v1/cache/explain", fields={"key": key}).data)
        return found

    def forget(self, urls: Mapping[ShardId, str], path: str) -> None:
        """Have shards drop a job or a client; one that cannot be reached has nothing to drop or will find it gone."""
        for shard, url in urls.items():
            try:
                self._call("DELETE", [url], path)
            except FLStoreError as error:
                logger.warning("shard did not forget", extra={"shard": shard, "path": path, "error": error.detail})

    def close(self) -> None:
        self._http.clear()

    def _ask(self, urls: Sequence[str], path: str, message: Any) -> tuple[bytes, Work]:
        return _answer(self._call("POST", urls, path, _json(message)))

    def _call(
        self,
        method: str,
        urls: Sequence[str],
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        return self._read(method, urls, path, _whole, body=body, headers=headers, fields=fields)

    def _read(
        self,
        method: str,
        urls: Sequence[str],
        path: str,
        read: Callable[[urllib3.BaseHTTPResponse], T],
        headers: Mapping[str, str] | None = None,
        **sent: Any,
    ) -> T:
        """Try the shards in turn, again and again with growing pauses; raise what they answer or `Unavailable`.

        That the store is away is raised after one turn: a shard says so after having tried for long enough.

        Args:
            read: makes of an answer what is returned.
        """
        headers = {**(headers or {}), REQUEST_ID_HEADER: current_request_id()}
        cause: Exception | None = None
        end = self._clock() + self._timeout
        for pause in PAUSES:
            if isinstance(cause, StoreUnavailable) or self._clock() + pause > end:
                break
            self._sleep(pause)
            for url in urls:
                try:
                    return read(
                        _sound(self._http.request(method, url + path, headers=headers, preload_content=False, **sent))
                    )
                except HTTPError as error:
                    cause = error
                except FLStoreError as error:
                    cause = error
                    if not error.retryable:
                        raise
        if isinstance(cause, FLStoreError):
            raise cause
        raise Unavailable(f"shard at {', '.join(urls)} does not answer {method} {path}") from cause


def _sound(response: urllib3.BaseHTTPResponse) -> urllib3.BaseHTTPResponse:
    """Return a response; raise what it says went wrong."""
    if response.status >= 400:
        raise from_problem(_problem(response))
    return response


def _whole(response: urllib3.BaseHTTPResponse) -> urllib3.BaseHTTPResponse:
    """Return a response that has come to its end."""
    response.read(cache_content=True)
    return response


def _answer(response: urllib3.BaseHTTPResponse) -> tuple[bytes, Work]:
    return response.data, Work(**json.loads(response.headers[WORK_HEADER]))


def _received(response: urllib3.BaseHTTPResponse) -> tuple[memoryview, Work]:
    """Return an answer, received into memory that was set aside for it."""
    body: memoryview = buffers.empty(int(response.headers["Content-Length"]), np.uint8).data
    received = 0
    for chunk in response.stream(CHUNK):
        body[received : received + len(chunk)] = chunk
        received += len(chunk)
    return body, Work(**json.loads(response.headers[WORK_HEADER]))


def _followed(response: urllib3.BaseHTTPResponse, progress: Progress) -> tuple[bytes, Work]:
    """Return a run's answer; of a long one, handing on the progress that it tells before."""
    if response.headers.get("Content-Type") != STREAM_TYPE:
        return _answer(response)
    rest, chunks = b"", response.stream(CHUNK)
    try:
        for chunk in chunks:
            rest += chunk
            while b"\n" in rest:
                line, _, rest = rest.partition(b"\n")
                told = json.loads(line)
                if "problem" in told:
                    raise from_problem(told["problem"])
                if "work" in told:
                    return b"".join([rest, *chunks]), Work(**told["work"])
                progress(*told["progress"])
    finally:
        response.close()
    raise ProtocolError("the predictor's answer broke off")


def _json(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode()


def _problem(response: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    try:
        found = json.loads(response.data)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"status": response.status, "detail": f"HTTP {response.status}"}
