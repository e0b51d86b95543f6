"""A store that does not keep conditional writes is refused; nothing of the check is left; nobody disturbs another."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from uuid import uuid4

import pytest

from flstore_core.errors import PreconditionFailed, StoreUnavailable, UnsuitableStore
from flstore_core.storage import Body, ObjectInfo, ObjectStore, open_store
from flstore_core.storage.conditions import TRIED, check_conditions, checked
from tests.fakes.store import Call, MemoryStore
from tests.servers import S3Server


class Forgetful(MemoryStore):
    """A store that ignores one of the two conditions, or both."""

    def __init__(self, *ignored: str) -> None:
        super().__init__()
        self._ignored = ignored

    def put(self, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
        return super().put(
            key,
            body,
            if_none_match=if_none_match and "If-None-Match" not in self._ignored,
            if_match=None if "If-Match" in self._ignored else if_match,
        )


class Slow(MemoryStore):
    """A store that keeps conditions while writers come one by one: it looks first, and writes later."""

    def __init__(self) -> None:
        super().__init__()
        self._both_looked = Barrier(2)

    def put(self, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
        if if_none_match and body in (b"one", b"two"):
            self._both_looked.wait(10)
            if_none_match = False
        return super().put(key, body, if_none_match=if_none_match, if_match=if_match)


@pytest.fixture(params=["directory", "s3", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    server: S3Server | None = request.getfixturevalue("s3_server") if request.param == "s3" else None
    url = f"s3://conditions/{uuid4().hex}" if server else str(tmp_path / "store")
    with closing(open_store(url, server.env if server else {})) as opened:
        yield opened


def test_a_good_store_passes_and_nothing_is_left(store: ObjectStore) -> None:
    check_conditions(store)
    assert list(store.list()) == []


def test_services_that_start_at_once_do_not_disturb_each_other(store: ObjectStore) -> None:
    with ThreadPoolExecutor(4) as services:
        list(services.map(lambda _: check_conditions(store), range(4)))
    assert list(store.list()) == []


@pytest.mark.parametrize(
    ("ignored", "named"),
    [
        (("If-None-Match",), "If-None-Match"),
        (("If-Match",), "If-Match"),
        (("If-None-Match", "If-Match"), "If-None-Match"),
    ],
)
def test_a_store_that_ignores_a_condition_is_refused_by_name(ignored: tuple[str, ...], named: str) -> None:
    store = Forgetful(*ignored)
    with pytest.raises(UnsuitableStore, match=f"did not refuse a second writer with {named}") as caught:
        check_conditions(store)
    assert TRIED in caught.value.detail
    assert store.contents == {}


def test_a_store_that_looks_and_writes_in_two_steps_is_refused() -> None:
    store = Slow()
    with pytest.raises(UnsuitableStore, match="two writers that created one object at once"):
        check_conditions(store)
    assert store.contents == {}


def test_what_cannot_be_deleted_does_not_hide_what_was_found_out() -> None:
    store = Forgetful("If-Match")

    def refuse(call: Call) -> None:
        if call.method == "delete":
            raise StoreUnavailable("no right to delete")

    store.before = refuse
    with pytest.raises(UnsuitableStore):
        check_conditions(store)


def test_a_store_that_is_away_at_the_start_is_checked_before_the_first_conditional_write() -> None:
    store, reasons = Forgetful("If-None-Match"), list[str]()

    def away(call: Call) -> None:
        raise StoreUnavailable("away")

    store.before = away
    opened = checked(store, reasons.append)
    assert reasons == ["away"]
    with pytest.raises(StoreUnavailable):
        opened.put("key", b"body", if_none_match=True)
    store.before = lambda call: None
    opened.put("free", b"body")
    with pytest.raises(UnsuitableStore):
        opened.put("key", b"body", if_none_match=True)
    with pytest.raises(UnsuitableStore):
        opened.put("key", b"body", if_match="etag")
    assert store.contents == {"free": b"body"}


def test_a_store_is_checked_once() -> None:
    store, calls = MemoryStore(), list[Call]()
    opened = checked(store, pytest.fail)
    store.before = calls.append
    opened.put("key", b"body", if_none_match=True)
    with pytest.raises(PreconditionFailed):
        opened.put("key", b"body", if_none_match=True)
    assert opened.get("key") == b"body"
    assert calls == [Call("put", "key"), Call("put", "key"), Call("get", "key")]


@pytest.mark.parametrize(("service", "settings"), [("gateway", {}), ("placement", {"FLSTORE_PREDICTORS": "0"})])
def test_a_service_does_not_start_over_such_a_store(service: str, settings: dict[str, str]) -> None:
    code = (
        f"import services.{service}.__main__ as service\n"
        "from tests.storage.test_conditions import Forgetful\n"
        "service.open_store = lambda url, env: Forgetful('If-Match')\n"
        "service.start(service.main)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={"FLSTORE_SERVICE_KEYS": "none", "FLSTORE_HOST": "127.0.0.1", **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 1
    (last,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert "did not refuse a second writer with If-Match" in last
