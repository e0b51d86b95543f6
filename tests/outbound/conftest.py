"""An environment without proxies, and a certificate authority that nobody knows."""

import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from tests.client.scripted import Script, scripted


@pytest.fixture(scope="session")
def gateway() -> Iterator[Script]:
    """A server that says that there are no jobs."""
    with scripted() as script:
        script.reply({"jobs": []})
        yield script


@pytest.fixture
def script() -> Iterator[Script]:
    """A server with nothing written down yet."""
    with scripted() as script:
        yield script


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the test."""

    file: str
    """Its own certificate, in PEM form."""
    server: ssl.SSLContext
    """For servers on localhost."""


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the machine that runs the tests uses."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = trustme.CA()
    file: Path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    return Authority(str(file), server)
