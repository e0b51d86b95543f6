"""An S3 server that is ended and started, or has an ingress in front: what it did not say itself is asked for again."""

from collections.abc import Callable, Iterator
from contextlib import closing
from uuid import uuid4

import pytest
from minio.credentials.providers import StaticProvider

from flstore_core.errors import StoreUnavailable
from flstore_core.retry import Retry
from flstore_core.storage import ObjectInfo
from flstore_core.storage.s3.location import Location
from flstore_core.storage.s3.store import S3Store
from tests.ingress import PLAYED, Ingress, forward_to, ingress, said
from tests.servers import S3Server

XML = "application/xml"
LISTED = '<?xml version="1.0"?><ListBucketResult><Name>trouble</Name><Contents><Key>here/a</Key>'
DAMAGED = {
    name: PLAYED[name] for name in ("upstream lost", "no upstream", "page of its own", "nothing at all", "hung up")
}
DAMAGED |= {
    "half a listing": said("200 OK", LISTED, Content_Type=XML),
    "a listing without sizes": said("200 OK", LISTED + "</Contents></ListBucketResult>", Content_Type=XML),
    "another document": said("200 OK", "<Welcome/>", Content_Type=XML),
    "half an error": said("500 Internal Server Error", "<Error><Code>Inter", Content_Type=XML),
    "no XML": said("503 Service Unavailable", "busy", Content_Type=XML),
}


@pytest.fixture
def behind(s3_server: S3Server) -> Iterator[tuple[S3Store, Ingress]]:
    """A store of one object, and what is between it and its server."""
    credentials = StaticProvider(s3_server.access_key, s3_server.secret_key)
    at_once = Retry((0.0,), attempts=4)
    with ingress() as front:
        front.hand_on = forward_to(s3_server.endpoint)
        with closing(S3Store(Location(front.url, "trouble", credentials, prefix=uuid4().hex), at_once)) as store:
            store.put("folder/a", b"12345678")
            yield store, front


def fill(store: S3Store) -> bytes:
    buffer = bytearray(4)
    store.read_into("folder/a", memoryview(buffer), offset=2)
    return bytes(buffer)


def keys(infos: Iterator[ObjectInfo]) -> list[str]:
    return [info.key for info in infos]


CALLS: dict[str, tuple[Callable[[S3Store], object], object]] = {
    "put": (lambda store: store.put("folder/b", b"12", if_none_match=True).size, 2),
    "get": (lambda store: store.get("folder/a"), b"12345678"),
    "a range": (lambda store: store.get("folder/a", offset=2, length=3), b"345"),
    "get with info": (lambda store: store.get_with_info("folder/a")[0], b"12345678"),
    "read into": (fill, b"3456"),
    "stream": (lambda store: b"".join(store.stream("folder/a")), b"12345678"),
    "stat": (lambda store: store.stat("folder/a").size, 8),
    "list": (lambda store: keys(store.list("folder")), ["folder/a"]),
    "folders": (lambda store: list(store.folders("")), ["folder"]),
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize(("call", "expected"), CALLS.values(), ids=CALLS)
def test_what_an_s3_server_did_not_say_is_asked_for_again(
    behind: tuple[S3Store, Ingress], call: Callable[[S3Store], object], expected: object, damage: bytes
) -> None:
    store, front = behind
    front.play(damage)
    assert call(store) == expected
    front.play(damage, times=10**6)
    with pytest.raises(StoreUnavailable):
        call(store)
