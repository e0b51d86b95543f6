"""A gateway's settings: defaults in the dataclass, the environment over them."""

from dataclasses import replace

import pytest

from flstore_core.errors import InvalidParameters
from flstore_core.storage.s3.store import MAX_BODY_BYTES
from flstore_core.units import parse_size
from services.gateway.settings import S3_MOST, Settings

TOKENS = '[{"token": "t"}]'


def test_without_an_environment_the_defaults_hold() -> None:
    assert Settings.from_env({}) == Settings()
    assert Settings().store == ".flstore/store"


def test_every_variable_reaches_its_setting() -> None:
    settings = Settings.from_env(
        {
            "FLSTORE_STORE": "s3://bucket/prefix",
            "FLSTORE_PLACEMENT_URL": "http://placement:8081/",
            "FLSTORE_TOKENS": TOKENS,
            "FLSTORE_METRICS_TOKEN": "scraper",
            "FLSTORE_UPLOAD_LIMIT": "1MB",
            "FLSTORE_IN_FLIGHT_BYTES": "1.5MB",
            "FLSTORE_UPLOAD_PATIENCE_SECONDS": "1.5",
            "FLSTORE_RECORDS_BYTES": "64MiB",
            "FLSTORE_MODELS_BYTES": "0",
            "FLSTORE_REFRESH_SECONDS": "0.3",
            "FLSTORE_SHARD_TIMEOUT_SECONDS": "20",
            "FLSTORE_ROOT_PATH": "/flstore/",
            "FLSTORE_THREADS": "3",
        }
    )
    assert settings == Settings(
        store="s3://bucket/prefix",
        placement_url="http://placement:8081",
        tokens=TOKENS,
        metrics_token="scraper",
        upload_limit=10**6,
        in_flight_bytes=1_500_000,
        upload_patience_seconds=1.5,
        records_bytes=64 * 2**20,
        models_bytes=0,
        refresh_seconds=0.3,
        shard_timeout_seconds=20.0,
        root_path="/flstore",
        threads=3,
    )


@pytest.mark.parametrize("prefix", ["flstore", "//host", "/a?b", "https://host/a", "/a/../b/\n"])
def test_a_prefix_is_a_plain_path(prefix: str) -> None:
    with pytest.raises(InvalidParameters, match="FLSTORE_ROOT_PATH"):
        Settings.from_env({"FLSTORE_ROOT_PATH": prefix})


def test_an_unusable_size_is_refused_by_its_variable_s_name() -> None:
    with pytest.raises(InvalidParameters, match="FLSTORE_UPLOAD_LIMIT: size 'big' is not usable"):
        Settings.from_env({"FLSTORE_UPLOAD_LIMIT": "big"})


def test_tokens_that_are_set_and_empty_open_nothing() -> None:
    with pytest.raises(InvalidParameters, match="FLSTORE_TOKENS is set and empty; unset it to let everybody in"):
        Settings.from_env({"FLSTORE_TOKENS": ""})
    with pytest.raises(InvalidParameters, match="FLSTORE_TOKENS must be a JSON list"):
        Settings.from_env({"FLSTORE_TOKENS": " "})


def test_settings_do_not_show_tokens() -> None:
    assert "secret" not in repr(Settings(tokens='[{"token": "secret"}]', metrics_token="secret"))


@pytest.mark.parametrize(
    ("env", "limit", "in_flight"),
    [
        ({}, "4GiB", "4GiB"),
        ({"FLSTORE_UPLOAD_LIMIT": "1GiB"}, "1GiB", "4GiB"),
        ({"FLSTORE_UPLOAD_LIMIT": "9GiB"}, "9GiB", "9GiB"),
        ({"FLSTORE_IN_FLIGHT_BYTES": "1GiB"}, "1GiB", "1GiB"),
        ({"FLSTORE_IN_FLIGHT_BYTES": "9GiB"}, "4GiB", "9GiB"),
        ({"FLSTORE_UPLOAD_LIMIT": "1GiB", "FLSTORE_IN_FLIGHT_BYTES": "1GiB"}, "1GiB", "1GiB"),
    ],
)
def test_the_upload_limit_that_is_not_set_fits_the_one_that_is(env: dict[str, str], limit: str, in_flight: str) -> None:
    settings = Settings.from_env(env)
    assert (settings.upload_limit, settings.in_flight_bytes) == (parse_size(limit), parse_size(in_flight))


def test_upload_limits_that_contradict_each_other_are_refused_by_both_names() -> None:
    message = "FLSTORE_UPLOAD_LIMIT is 4.0 GiB and FLSTORE_IN_FLIGHT_BYTES 2.0 GiB: an update that large would never"
    with pytest.raises(InvalidParameters, match=message):
        Settings.from_env({"FLSTORE_UPLOAD_LIMIT": "4GiB", "FLSTORE_IN_FLIGHT_BYTES": "2GiB"})


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("FLSTORE_PLACEMENT_URL", "placement:8081"),
        ("FLSTORE_UPLOAD_LIMIT", "0"),
        ("FLSTORE_UPLOAD_PATIENCE_SECONDS", "0"),
        ("FLSTORE_REFRESH_SECONDS", "-1"),
        ("FLSTORE_SHARD_TIMEOUT_SECONDS", "nan"),
        ("FLSTORE_THREADS", "0"),
        ("FLSTORE_QUESTION_OPERATIONS", "2e11"),
    ],
)
def test_what_cannot_work_is_refused_by_name(variable: str, text: str) -> None:
    with pytest.raises(InvalidParameters, match=f"{variable}: '?{text}'? is"):
        Settings.from_env({variable: text})


def test_uploads_that_memory_cannot_hold_are_warned_about() -> None:
    settings = Settings(in_flight_bytes=2**30, upload_limit=2**30, records_bytes=2**20, models_bytes=2**21)
    assert list(settings.warnings(None)) == list(settings.warnings(2**31)) == []
    (warning,) = settings.warnings(2**30)
    assert warning.startswith(
        "FLSTORE_IN_FLIGHT_BYTES is 1.0 GiB, FLSTORE_RECORDS_BYTES 1.0 MiB and FLSTORE_MODELS_BYTES 2.0 MiB, over the "
    )


def test_what_has_no_effect_is_warned_about() -> None:
    (warning,) = Settings(metrics_token="m").warnings(None)
    assert warning.startswith("FLSTORE_METRICS_TOKEN has no effect without FLSTORE_TOKENS")
    assert list(Settings(metrics_token="m", tokens=TOKENS).warnings(None)) == []
    large = Settings("s3://bucket", upload_limit=6 * 2**30, in_flight_bytes=6 * 2**30)
    (warning,) = large.warnings(None)
    assert warning.startswith("FLSTORE_UPLOAD_LIMIT is 6.0 GiB, and an S3 store takes objects of up to 5.0 GiB")
    assert list(replace(large, store="folder").warnings(None)) == []


def test_the_limit_of_s3_is_the_stores() -> None:
    assert S3_MOST == MAX_BODY_BYTES
