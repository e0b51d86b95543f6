"""Where a store's objects lie: a bucket's URL, completed by the environment as other S3 clients complete it."""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from flstore_core.errors import InvalidParameters
from flstore_core.storage.s3.credentials import find_credentials
from flstore_core.storage.s3.sdk import Provider

URL_RULE = "use s3://bucket[/prefix][?endpoint=https://host[:port][/path]][&region=…][&style=path|virtual]"

Style = Literal["auto", "path", "virtual"]
"""How a bucket is addressed: in the path, or in front of the host. `auto` is virtual on Amazon and path elsewhere."""

_DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Location:
    """A bucket or a folder in it, and how to reach it."""

    endpoint: str
    """`http://host:port` or `https://host`, with a path if the server's API does not begin at its root."""
    bucket: str
    credentials: Provider = field(repr=False)
    region: str = _DEFAULT_REGION
    prefix: str = ""
    """Folder in the bucket that every key lies below; empty for the bucket itself."""
    style: Style = "auto"
    trusted: str | None = None
    """File of certificates to trust in place of the system's."""


def read_location(url: str, env: Mapping[str, str]) -> Location:
    """Return the location that an `s3://` URL names; what it leaves open comes from `env`.

    Raises:
        InvalidParameters: if the URL has credentials, unknown options or values, or half of a pair of keys is set.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if "@" in parts.netloc:
        raise InvalidParameters("store URL carries credentials; set FLSTORE_S3_ACCESS_KEY and FLSTORE_S3_SECRET_KEY")
    if unexpected := options.keys() - {"endpoint", "region", "style"}:
        raise InvalidParameters(f"store URL has unknown options {sorted(unexpected)}; {URL_RULE}")
    region = options.get("region") or _region(env)
    trusted = _first(env, "FLSTORE_S3_CA_BUNDLE", "AWS_CA_BUNDLE")
    return Location(
        endpoint=options.get("endpoint") or _endpoint(env, region),
        bucket=parts.netloc,
        prefix=unquote(parts.path).strip("/"),
        credentials=find_credentials(env, region, trusted),
        region=region,
        style=_style(options.get("style") or env.get("FLSTORE_S3_STYLE") or "auto"),
        trusted=trusted,
    )


def _endpoint(env: Mapping[str, str], region: str) -> str:
    named = _first(env, "FLSTORE_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    return named or f"https://s3.{region}.amazonaws.com"


def _region(env: Mapping[str, str]) -> str:
    return _first(env, "FLSTORE_S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION") or _profile_region(env)


def _profile_region(env: Mapping[str, str]) -> str:
    """Return the region of the profile in use, as `aws configure` keeps it."""
    parser = configparser.RawConfigParser()
    profile = env.get("AWS_PROFILE") or "default"
    try:
        parser.read(env.get("AWS_CONFIG_FILE") or Path("~/.aws/config").expanduser())
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        raise InvalidParameters(f"the AWS configuration file cannot be read: {error}") from error
    section = profile if profile == "default" else f"profile {profile}"
    return parser.get(section, "region", fallback=_DEFAULT_REGION)


def _style(text: str) -> Style:
    if text not in get_args(Style):
        raise InvalidParameters(f"{text!r} is no style of addressing a bucket; use one of {', '.join(get_args(Style))}")
    return cast("Style", text)


def _first(env: Mapping[str, str], *names: str) -> str | None:
    """Return the first of several variables that is set and not empty."""
    return next((value for name in names if (value := env.get(name))), None)
