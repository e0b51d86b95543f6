"""The blocking client: runs each call of the API over urllib3 and returns its answer.

urllib3 takes as long to import as NumPy does. It is imported when a client is made, so that programs which import the
client and make none, such as most commands that show help, do without.
"""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from flstore_core.client.api import Api
from flstore_core.client.bodies import CHUNK, Body, Meter, Progress, ResponseBuffer
from flstore_core.client.endpoint import Endpoint, create_endpoint
from flstore_core.client.exchange import Exchange, NoResponse, Request, Response
from flstore_core.client.retry import retry_for
from flstore_core.client.signatures import document_as

if TYPE_CHECKING:
    import urllib3

P = ParamSpec("P")
T = TypeVar("T")

IDLE_CONNECTIONS = 32
"""Most connections that one client keeps open between calls; further ones are closed after use."""


def _blocking(call: Callable[Concatenate[Api, P], Exchange[T]]) -> "Callable[Concatenate[FLStore, P], T]":
    def method(self: "FLStore", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(call(self._api, *args, **kwargs))

    return document_as(method, call)


class FLStore:
    """A client of one FLStore deployment. Safe to share between threads, and to use in forked processes.

    It can be pickled and copied, such as by Ray, Dask or `multiprocessing`: what travels is how to reach the store, the
    token included. Connections belong to the process that opened them.

    A request that fails for a reason that may pass (connection lost, 408, 429, 503, an answer of an ingress in the
    gateway's place) is repeated up to `retries` times, with growing pauses. Errors are those of
    `flstore_core.errors`, of the same class that the server raised.

    Args:
        url: the gateway's, such as `http://127.0.0.1:8080`.
        token: bearer token, if the server requires one.
        timeout: seconds of silence from the server after which a call fails.
        retries: further attempts after the first.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 60.0, retries: int = 3) -> None:
        self._endpoint = create_endpoint(url, token, timeout)
        self._http = _pools(self._endpoint)
        self._api = Api(retry_for(retries))

    @property
    def url(self) -> str:
        """The gateway's, without a slash at the end."""
        return self._endpoint.url

    create_job = _blocking(Api.create_job)
    jobs = _blocking(Api.jobs)
    job = _blocking(Api.job)
    delete_job = _blocking(Api.delete_job)
    put_update = _blocking(Api.put_update)
    put_aggregate = _blocking(Api.put_aggregate)
    make_aggregate = _blocking(Api.make_aggregate)
    drop_update = _blocking(Api.drop_update)
    drop_aggregate = _blocking(Api.drop_aggregate)
    drop_round = _blocking(Api.drop_round)
    issue_tickets = _blocking(Api.issue_tickets)
    put_program = _blocking(Api.put_program)
    put_dataset = _blocking(Api.put_dataset)
    datasets = _blocking(Api.datasets)
    commit = _blocking(Api.commit)
    rounds = _blocking(Api.rounds)
    round = _blocking(Api.round)
    metrics = _blocking(Api.metrics)
    participation = _blocking(Api.participation)
    norms = _blocking(Api.norms)
    client = _blocking(Api.client)
    get_update = _blocking(Api.get_update)
    get_aggregate = _blocking(Api.get_aggregate)
    get_artifact = _blocking(Api.get_artifact)
    delete_artifact = _blocking(Api.delete_artifact)
    download_raw = _blocking(Api.download_raw)
    download_model = _blocking(Api.download_model)
    download_program = _blocking(Api.download_program)
    download_range = _blocking(Api.download_range)
    erase_client = _blocking(Api.erase_client)
    workloads = _blocking(Api.workloads)
    run = _blocking(Api.run)
    run_anew = _blocking(Api.run_anew)
    submit = _blocking(Api.submit)
    operation = _blocking(Api.operation)
    cancel = _blocking(Api.cancel)
    wait = _blocking(Api.wait)
    placement = _blocking(Api.placement)
    cache = _blocking(Api.cache)
    explain = _blocking(Api.explain)
    cost = _blocking(Api.cost)
    events = _blocking(Api.events)

    def close(self) -> None:
        """Close the connections."""
        self._http.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_http": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._http = _pools(self._endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, exchange: Exchange[T]) -> T:
        try:
            request = next(exchange)
            while True:
                request = exchange.send(self._send(request))
        except StopIteration as end:
            answer: T = end.value
            return answer

    def _send(self, request: Request) -> Response | NoResponse:
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        time.sleep(request.delay_s)
        content: Any = _chunks(request.body, request.progress) if request.body else None
        try:
            with self._http.request(
                request.method,
                self._endpoint.url + request.path,
                headers=self._endpoint.headers_for(request),
                body=content,
                preload_content=False,
                redirect=False,
            ) as response:
                headers = {name.lower(): text for name, text in response.headers.items()}
                progress = None if request.body else request.progress
                received = ResponseBuffer(headers, progress, request.most_bytes)
                for chunk in response.stream(CHUNK, decode_content=False):
                    received.add(chunk)
        except HTTPError as error:
            return self._endpoint.no_response(error, timed_out=isinstance(error, ReadTimeoutError))
        return Response(response.status, headers, received.body)


def _pools(endpoint: Endpoint) -> "urllib3.PoolManager":
    """Return connection pools, through the environment's proxy if it names one for the address."""
    import urllib3

    from flstore_core.outbound import open_pools

    timeout = urllib3.Timeout(connect=endpoint.connect_s, read=endpoint.silence_s)
    return open_pools(endpoint.url, maxsize=IDLE_CONNECTIONS, retries=False, timeout=timeout)


def _chunks(body: Body, progress: Progress | None) -> Iterator[bytes | memoryview]:
    meter = Meter(progress, body.nbytes)
    for chunk in body.chunks():
        yield chunk
        meter.add(len(chunk))
