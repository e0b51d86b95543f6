"""Calls of shards, which hold slices and compute over them."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from urllib3 import BaseHTTPResponse

from flstore_core.errors import FLStoreError
from flstore_core.shard.protocol import (
    COMMITS,
    MAP,
    MESSAGE_HEADER,
    SLICES,
    STATISTICS,
    WINDOW_HEADER,
    CommitMessage,
    MapRequest,
    MemberRef,
    SliceRef,
    StatisticsRequest,
    UploadMessage,
    Work,
)
from flstore_core.shard.windows import Window
from flstore_core.statistics import RoundStatistics
from flstore_core.workloads import Partial
from services.gateway.backends.calls import (
    Calls,
    decode,
    encode,
    read_answer,
    read_count,
    read_into_buffer,
    read_nothing,
)


class Shards:
    """Calls shards by their addresses. Safe to share between threads.

    Every method raises what `Calls.send` raises.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def close(self) -> None:
        self._calls.close()

    def put_slice(
        self, urls: Sequence[str], part: SliceRef, member: MemberRef, base: MemberRef | None, body: list[memoryview]
    ) -> None:
        """Hand a slice's packed bytes to every one of its shards.

        Args:
            base: the model that the round's deltas are taken against.
            body: consecutive pieces of the slice.
        """
        message = UploadMessage(part, member, base)
        headers = {
            MESSAGE_HEADER: json.dumps(message.to_json()),
            "Content-Length": str(sum(piece.nbytes for piece in body)),
        }
        for url in urls:
            self._calls.send("PUT", [url], SLICES, read_count("admitted"), headers=headers, body=body)

    def statistics(self, urls: Sequence[str], request: StatisticsRequest) -> tuple[RoundStatistics, Work]:
        """Return a slice's part of a round's statistics, from the first of its shards that answers."""
        return self._calls.send("POST", urls, STATISTICS, _read_statistics, body=encode(request.to_json()))

    def map(
        self, urls: Sequence[str], request: MapRequest, stop: int, reached: Callable[[int], None] = lambda _: None
    ) -> tuple[list[Partial], Work]:
        """Return a workload's partial of a slice, or those of its windows, each from the first shard that answers.

        Args:
            request: begins at the first element of the slice.
            stop: the last element of the slice, plus 1.
            reached: is called with the element at which each window ends; what it raises ends the call.
        """
        partials: list[Partial] = []
        work, start = Work(), request.start
        while True:
            read = partial(_read_partial, start=start)
            asked = replace(request, start=start)
            window, mapped, more = self._calls.send("POST", urls, MAP, read, body=encode(asked.to_json()))
            work += more
            if window is None:  # of the whole slice, also if a shard that knows no windows comes after one that does
                return [mapped], work
            partials.append(mapped)
            reached(window.stop)
            if window.stop >= stop:
                return partials, work
            start = window.stop

    def committed(self, urls: Sequence[str], part: SliceRef, number: int) -> None:
        """Tell a slice's shards that a round is committed, as far as they answer: one of them may be down."""
        message = CommitMessage(part, number)
        for url in urls:
            with suppress(FLStoreError):
                self._calls.send("POST", [url], COMMITS, read_nothing, body=encode(message.to_json()))


def _read_statistics(response: BaseHTTPResponse) -> tuple[RoundStatistics, Work]:
    body, work = read_answer(response)
    statistics = RoundStatistics.from_stored(body)
    if statistics is None:
        raise ValueError("the answer is no statistics")
    return statistics, work


def _read_partial(response: BaseHTTPResponse, start: int | None) -> tuple[Window | None, Partial, Work]:
    header = response.headers.get(WINDOW_HEADER)
    window = None if header is None else Window.from_header(header)
    if window and window.start != start:
        raise ValueError(f"the answer is of the elements {header}, not of those from {start} on")
    body, work = read_into_buffer(response)
    return window, decode(body), work
