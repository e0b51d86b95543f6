"""Calls of shards, which hold slices and compute over them."""

import json
from collections.abc import Sequence
from contextlib import suppress

from flstore_core import codec
from flstore_core.errors import FLStoreError
from flstore_core.shard.protocol import (
    COMMITS,
    MAP,
    MESSAGE_HEADER,
    SLICES,
    STATISTICS,
    CommitMessage,
    MapRequest,
    MemberRef,
    SliceRef,
    StatisticsRequest,
    UploadMessage,
    Work,
)
from flstore_core.statistics import RoundStatistics
from flstore_core.workloads import Partial
from services.gateway.backends.calls import Calls, encode, read_answer, read_into_buffer, read_whole


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
            self._calls.send("PUT", [url], SLICES, read_whole, headers=headers, body=body)

    def statistics(self, urls: Sequence[str], request: StatisticsRequest) -> tuple[RoundStatistics, Work]:
        """Return a slice's part of a round's statistics, from the first of its shards that answers."""
        body, work = self._calls.send("POST", urls, STATISTICS, read_answer, body=encode(request.to_json()))
        return RoundStatistics.from_bytes(body), work

    def map(self, urls: Sequence[str], request: MapRequest) -> tuple[Partial, Work]:
        """Return a workload's partial of a slice, from the first of its shards that answers."""
        body, work = self._calls.send("POST", urls, MAP, read_into_buffer, body=encode(request.to_json()))
        return codec.loads(body)[0], work

    def committed(self, urls: Sequence[str], part: SliceRef, number: int) -> None:
        """Tell a slice's shards that a round is committed, as far as they answer: one of them may be down."""
        message = CommitMessage(part, number)
        for url in urls:
            with suppress(FLStoreError):
                self._calls.send("POST", [url], COMMITS, read_whole, body=encode(message.to_json()))
