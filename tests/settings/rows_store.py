"""Rows of the settings by which every service reaches the store, and clients a gateway."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from click.testing import CliRunner

from flstore_core.cli import main, session
from flstore_core.errors import Unavailable
from flstore_core.storage import open_store
from flstore_core.storage.s3 import read_location
from tests.settings.booted import backends, controller, gateway
from tests.settings.row import Env, Row

BUCKET = "s3://bucket"
PAIR = {"FLSTORE_S3_ACCESS_KEY": "access", "FLSTORE_S3_SECRET_KEY": "secret"}


def _folders(env: Env) -> object:
    """Return the name of the folder of the store that each service works on."""
    seen: Any = [
        gateway(lambda state: state.rounds.store._root)(env),
        controller(lambda seen: seen.prepared["store"]._root)(env),
        *_folders_of_backends(env),
    ]
    return [folder.name for folder in seen]


def _folders_of_backends(env: Env) -> list[Any]:
    folders: Any = backends(lambda state: state.store._root)(env)
    return list(folders)


def _location(look: Callable[[Any], object]) -> Callable[[Env], object]:
    return lambda env: look(read_location(BUCKET, env))


def _credential(name: str) -> Callable[[Env], object]:
    return _location(lambda location: getattr(location.credentials.retrieve(), name))


def _opened(look: Callable[[Any], object]) -> Callable[[Env], object]:
    return lambda env: look(open_store(BUCKET, {**PAIR, **env}))


def _connection(env: Env) -> object:
    """Return the gateway and the token that the command connects to and with."""
    used: list[tuple[str, str | None]] = []

    def connect(url: str, token: str | None, **_: object) -> object:
        used.append((url, token))
        raise Unavailable("nobody is there")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "FLStore", connect)
        CliRunner(env={"FLSTORE_URL": None, "FLSTORE_TOKEN": None, **env}).invoke(main, ["jobs", "list"])
    return used[0]


STORE: Mapping[str, Row] = {
    "STORE": Row("elsewhere", _folders, 4 * ["elsewhere"]),
    "S3_ENDPOINT": Row("http://127.0.0.1:9", _location(lambda location: location.endpoint), "http://127.0.0.1:9", PAIR),
    "S3_REGION": Row("eu-west-9", _location(lambda location: location.region), "eu-west-9", PAIR),
    "S3_STYLE": Row("virtual", _location(lambda location: location.style), "virtual", PAIR),
    "S3_ACCESS_KEY": Row("mine", _credential("access_key"), "mine", PAIR),
    "S3_SECRET_KEY": Row("mine", _credential("secret_key"), "mine", PAIR),
    "S3_SESSION_TOKEN": Row("temporary", _credential("session_token"), "temporary", PAIR),
    "S3_CA_BUNDLE": Row("/ca.pem", _location(lambda location: location.trusted), "/ca.pem", PAIR),
    "S3_GIVE_UP_S": Row("1.5", _opened(lambda store: store._retry.give_up_s), 1.5),
    "NETWORK_PROFILE": Row(
        "cloud-s3", lambda env: type(open_store("folder", env)).__name__, "_Distant", {"FLSTORE_NETWORK_PROFILE": ""}
    ),
}

CLIENTS: Mapping[str, Row] = {
    "URL": Row("http://there:1", _connection, ("http://there:1", None)),
    "TOKEN": Row("secret", _connection, ("http://127.0.0.1:8080", "secret")),
}
