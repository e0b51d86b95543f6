"""Old versions in buckets: of a real server that keeps them, and of servers that do not say or do not let them go."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from uuid import uuid4

import pytest
from minio import Minio
from minio.versioningconfig import VersioningConfig
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flstore_core.errors import StoreUnavailable
from flstore_core.storage import ObjectStore, open_store
from flstore_core.storage.base import HistoryRemains
from tests.servers import S3Server
from tests.serving import served


@pytest.fixture
def bucket(s3_server: S3Server) -> tuple[Minio, str]:
    """A bucket that keeps versions."""
    name = f"versions-{uuid4().hex}"
    host = s3_server.endpoint.removeprefix("http://")
    client = Minio(host, s3_server.access_key, s3_server.secret_key, secure=False, region="us-east-1")
    client.make_bucket(name)
    client.set_bucket_versioning(name, VersioningConfig("Enabled"))
    return client, name


@pytest.fixture
def store(bucket: tuple[Minio, str], s3_server: S3Server) -> Iterator[ObjectStore]:
    with closing(open_store(f"s3://{bucket[1]}/deep", s3_server.env)) as opened:
        yield opened


def versions(bucket: tuple[Minio, str]) -> list[tuple[str, bool]]:
    """Return the key of each version, and whether it is a marker of a deletion."""
    client, name = bucket
    entries = client.list_objects(name, "deep/", recursive=True, include_version=True)
    return sorted((str(entry.object_name).removeprefix("deep/"), bool(entry.is_delete_marker)) for entry in entries)


def test_old_versions_and_markers_go_and_objects_stay(bucket: tuple[Minio, str], store: ObjectStore) -> None:
    for body in (b"1", b"22", b"333"):
        store.put("a/kept", body)
        store.put("a/gone", body)
        store.put("a/other", body)
        store.put("b/kept", body)
    store.delete("a/gone")
    assert len(versions(bucket)) == 13
    assert store.purge_history("a", lambda key: key != "a/other") == 2 + 4
    other, below = [("a/other", False)] * 3, [("b/kept", False)] * 3
    assert versions(bucket) == [("a/kept", False), *other, *below]
    assert store.get("a/kept") == b"333"
    assert store.purge_history("a", lambda key: key != "a/other") == 0


def test_versions_of_before_versioning_was_suspended_go_too(bucket: tuple[Minio, str], store: ObjectStore) -> None:
    store.put("a/k", b"1")
    store.put("a/k", b"22")
    bucket[0].set_bucket_versioning(bucket[1], VersioningConfig("Suspended"))
    store.put("a/k", b"333")
    assert store.purge_history("a", lambda key: True) == 2
    assert versions(bucket) == [("a/k", False)]


def test_a_bucket_that_does_not_exist_has_none(s3_server: S3Server) -> None:
    with closing(open_store(f"s3://none-{uuid4().hex}", s3_server.env)) as store:
        assert store.purge_history("a", lambda key: True) == 0


# Servers that do less.

VERSIONED = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
_OBJECT = "<Key>a/k</Key><IsLatest>false</IsLatest><LastModified>2024-01-01T00:00:00Z</LastModified><Size>1</Size>"
_NAME = "<Name>bucket</Name>"
_VERSIONS = f"{_NAME}<Version>{_OBJECT}<VersionId>v1</VersionId></Version>"
_LISTED = f"<ListVersionsResult>{_VERSIONS}</ListVersionsResult>"
_OBJECTS = f"<ListBucketResult>{_NAME}<Contents>{_OBJECT}</Contents></ListBucketResult>"
_REFUSED = "<Error><Code>{}</Code></Error>"
_KEPT = "<DeleteResult><Error><Key>a/k</Key><Code>AccessDenied</Code></Error></DeleteResult>"

Answer = Callable[[], Response]


def xml(text: str, status: int = 200) -> Answer:
    return lambda: Response(text, status, media_type="application/xml")


def refused(status: int, code: str) -> Answer:
    return xml(_REFUSED.format(code), status)


_NO_RIGHT = refused(403, "AccessDenied")


@contextmanager
def server(versioning: Answer, listing: Answer = _NO_RIGHT) -> Iterator[tuple[ObjectStore, list[str]]]:
    """Yield a store over a server that answers these two questions, and what else it was asked to do."""
    done: list[str] = []

    async def answer(request: Request) -> Response:
        if "versioning" in request.query_params:
            return versioning()
        if "versions" in request.query_params:
            return listing()
        done.append(f"{request.method} {request.url.query}")
        return xml(_KEPT)()

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "PUT", "POST", "DELETE", "HEAD"])])
    env = {"FLSTORE_S3_ACCESS_KEY": "key", "FLSTORE_S3_SECRET_KEY": "secret", "FLSTORE_S3_GIVE_UP_S": "0"}
    with (
        served(app) as url,
        closing(open_store("s3://bucket", {**env, "FLSTORE_S3_ENDPOINT": url})) as store,
    ):
        yield store, done


@pytest.mark.parametrize(
    ("versioning", "listing", "why"),
    [
        (_NO_RIGHT, _NO_RIGHT, "refused with 403 AccessDenied"),
        (refused(501, "NotImplemented"), refused(501, "NotImplemented"), "does not know how|refused with"),
        (xml(VERSIONED), _NO_RIGHT, "refused with 403 AccessDenied"),
        (xml(VERSIONED), xml("<Odd></Odd>"), "in a way of its own"),
        (xml(VERSIONED), xml(_OBJECTS), "does not list versions"),
    ],
)
def test_a_server_that_does_not_tell_is_named(versioning: Answer, listing: Answer, why: str) -> None:
    with server(versioning, listing) as (store, done):
        with pytest.raises(HistoryRemains, match=why):
            store.purge_history("a", lambda key: True)
        assert done == [], "nothing is deleted that may be an object"


def test_a_server_that_lets_no_version_go_is_named() -> None:
    with server(xml(VERSIONED), xml(_LISTED)) as (store, done):
        with pytest.raises(HistoryRemains, match="did not delete 1 old versions"):
            store.purge_history("a", lambda key: True)
        assert done == ["POST delete="]


def test_one_that_may_not_be_asked_but_lists_versions_is_believed() -> None:
    with server(_NO_RIGHT, xml(f"<ListVersionsResult>{_NAME}</ListVersionsResult>")) as (store, _):
        assert store.purge_history("a", lambda key: True) == 0


def test_a_server_that_is_away_is_no_server_that_refuses() -> None:
    with server(refused(503, "SlowDown")) as (store, _), pytest.raises(StoreUnavailable) as caught:
        store.purge_history("a", lambda key: True)
    assert type(caught.value) is StoreUnavailable
