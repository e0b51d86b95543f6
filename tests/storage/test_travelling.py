"""Stores that are pickled and copied, such as by Ray, Dask or `multiprocessing`: what travels is how to reach them."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flstore_core.storage import DirectoryStore, ObjectStore, open_store
from flstore_core.storage.network import PROFILES
from flstore_core.storage.s3 import read_location
from flstore_core.storage.url import open_later
from tests.servers import S3Server

Travel = Callable[[Any], Any]
TRAVELS: Mapping[str, Travel] = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}
OPENERS = {"now": open_store, "later": open_later}


@pytest.fixture(params=list(TRAVELS.values()), ids=list(TRAVELS))
def travel(request: pytest.FixtureRequest) -> Travel:
    found: Travel = request.param
    return found


def assert_reaches_the_same(travel: Travel, store: ObjectStore) -> None:
    store.put("before", b"1")
    with closing(travel(store)) as other:
        assert other.get("before") == b"1"
        other.put("after", b"2")
    assert store.get("after") == b"2"


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)
@pytest.mark.parametrize("link", ["loopback", "elasticache"])
def test_a_copied_directory_is_the_same_directory(tmp_path: Path, travel: Travel, opener: Any, link: str) -> None:
    assert link in PROFILES
    with closing(opener(str(tmp_path / "store"), {"FLSTORE_NETWORK_PROFILE": link})) as store:
        assert_reaches_the_same(travel, store)
    assert_reaches_the_same(travel, DirectoryStore(tmp_path / "another"))


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)
def test_a_copied_bucket_is_reached_by_connections_of_its_own(s3_server: S3Server, travel: Travel, opener: Any) -> None:
    with closing(opener("s3://travelling/deep", s3_server.env)) as store:
        assert_reaches_the_same(travel, store)


def test_a_store_that_nobody_has_opened_yet_is_not_opened_by_its_copies(tmp_path: Path, travel: Travel) -> None:
    env = {"FLSTORE_NETWORK_PROFILE": "loopback", "PASSWORD": "of somebody else"}
    store = open_later(str(tmp_path / "store"), env)
    other = travel(store)
    assert not (tmp_path / "store").exists()
    assert b"of somebody else" not in pickle.dumps(store)
    other.put("k", b"1")
    assert store.get("k") == b"1"


@pytest.mark.parametrize(
    "env",
    [
        {"FLSTORE_S3_ACCESS_KEY": "key", "FLSTORE_S3_SECRET_KEY": "secret", "FLSTORE_S3_SESSION_TOKEN": "token"},
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn:role"},
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/role"},
        {"AWS_PROFILE": "training", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"},
        {},
    ],
    ids=["keys", "web identity", "container", "profile", "machine"],
)
def test_a_location_travels_with_where_its_credentials_come_from(travel: Travel, env: dict[str, str]) -> None:
    url = "s3://bucket/prefix?endpoint=http://127.0.0.1:9&region=eu-north-1"
    location = read_location(url, {**env, "PASSWORD": "of somebody else"})
    other = travel(location)
    assert (other.endpoint, other.bucket, other.region) == (location.endpoint, location.bucket, location.region)
    assert type(other.credentials) is type(location.credentials)
    assert list(getattr(other.credentials, "_sources", {})) == list(getattr(location.credentials, "_sources", {}))
    assert b"of somebody else" not in pickle.dumps(location)
    with closing(travel(open_store(url, env))) as store:
        assert repr(store) == repr(open_store(url, env))


def test_a_store_reaches_a_process_that_was_spawned(s3_server: S3Server) -> None:
    program = "import pickle, sys; pickle.load(sys.stdin.buffer).put('there', b'yes')"
    with closing(open_store("s3://travelling/spawned", s3_server.env)) as store:
        store.put("here", b"yes")
        run = partial(subprocess.run, input=pickle.dumps(store), check=True, timeout=120)
        run([sys.executable, "-c", program])
        assert store.get("there") == b"yes"
