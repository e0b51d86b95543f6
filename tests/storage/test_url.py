"""Which store a URL opens, and what is said about a bad one."""

import subprocess
import sys
from pathlib import Path

import pytest

from flstore_core.errors import InvalidParameters
from flstore_core.storage import open_store

ENV = {"FLSTORE_S3_ACCESS_KEY": "user", "FLSTORE_S3_SECRET_KEY": "hidden-word"}


def test_paths_and_file_urls_open_directories(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    open_store(str(folder), {}).put("k", b"1")
    assert open_store(folder.as_uri(), {}).get("k") == b"1"
    assert open_store(f"file://localhost{tmp_path}/with%20space", {}).get("k") == b"1"


def test_an_s3_url_names_bucket_prefix_and_endpoint() -> None:
    store = open_store("s3://bucket/some/prefix/?endpoint=http://127.0.0.1:9", ENV)
    assert repr(store) == "S3Store('http://127.0.0.1:9', bucket='bucket', prefix='some/prefix/')"
    store.close()


def test_the_environment_may_name_endpoint_and_common_credentials() -> None:
    env = {"FLSTORE_S3_ENDPOINT": "https://s3.example", "AWS_ACCESS_KEY_ID": "u", "AWS_SECRET_ACCESS_KEY": "s"}
    store = open_store("s3://bucket", env)
    assert repr(store) == "S3Store('https://s3.example', bucket='bucket', prefix='')"
    store.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "is empty"),
        ("http://host/x", "unknown scheme 'http'"),
        ("file://host/x", "names no local folder"),
        ("file://", "names no local folder"),
        ("s3://user:hidden-word@bucket?endpoint=http://h", "carries credentials"),
        ("s3://bucket?endpoint=http://h&colour=red", "unknown options.*colour"),
        ("s3://?endpoint=http://h", "bucket '' is not usable"),
        ("s3://bucket?endpoint=h:9", "endpoint"),
    ],
)
def test_a_bad_url_is_told_what_is_right(url: str, said: str) -> None:
    with pytest.raises(InvalidParameters, match=said) as caught:
        open_store(url, ENV)
    assert "hidden-word" not in str(caught.value)


def test_an_unreadable_patience_is_named() -> None:
    with pytest.raises(InvalidParameters, match="FLSTORE_S3_GIVE_UP_S is 'soon'"):
        open_store("s3://bucket?endpoint=http://h", {**ENV, "FLSTORE_S3_GIVE_UP_S": "soon"})


def test_the_package_imports_no_sdk() -> None:
    program = "import sys, flstore_core.storage; print(sorted({'minio', 'urllib3'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"
