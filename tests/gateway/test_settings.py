"""A gateway's settings: defaults in the dataclass, the environment over them."""

import pytest

from flstore_core.errors import InvalidParameters
from services.gateway.auth import Tokens
from services.gateway.settings import Settings


def test_without_an_environment_the_defaults_hold() -> None:
    assert Settings.from_env({}) == Settings()
    assert Settings().store == ".flstore/store"


def test_every_variable_reaches_its_setting() -> None:
    settings = Settings.from_env(
        {
            "FLSTORE_STORE": "s3://bucket/prefix",
            "FLSTORE_PLACEMENT_URL": "http://placement:8081/",
            "FLSTORE_TOKENS": "[]",
            "FLSTORE_METRICS_TOKEN": "scraper",
            "FLSTORE_UPLOAD_LIMIT": "1MB",
            "FLSTORE_IN_FLIGHT_BYTES": "1.5MB",
            "FLSTORE_UPLOAD_PATIENCE_SECONDS": "1.5",
            "FLSTORE_RECORDS_BYTES": "64MiB",
            "FLSTORE_REFRESH_SECONDS": "0.3",
            "FLSTORE_SHARD_TIMEOUT_SECONDS": "20",
            "FLSTORE_THREADS": "3",
        }
    )
    expected = Settings(
        "s3://bucket/prefix", "http://placement:8081", "[]", "scraper", 10**6, 1_500_000, 1.5, 64 * 2**20, 0.3, 20.0, 3
    )
    assert settings == expected


def test_an_unusable_size_is_refused_by_its_variable_s_name() -> None:
    with pytest.raises(InvalidParameters, match="FLSTORE_UPLOAD_LIMIT: size 'big' is not usable"):
        Settings.from_env({"FLSTORE_UPLOAD_LIMIT": "big"})


def test_tokens_that_are_set_and_empty_open_nothing() -> None:
    with pytest.raises(InvalidParameters, match="FLSTORE_TOKENS is set and empty; unset it to let everybody in"):
        Settings.from_env({"FLSTORE_TOKENS": ""})
    with pytest.raises(InvalidParameters, match="FLSTORE_TOKENS must be a JSON list"):
        Tokens(Settings.from_env({"FLSTORE_TOKENS": " "}).tokens)


def test_settings_do_not_show_tokens() -> None:
    assert "secret" not in repr(Settings(tokens='[{"token": "secret"}]', metrics_token="secret"))
