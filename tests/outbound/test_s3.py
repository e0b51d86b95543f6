"""The S3 store finds its server and its credentials as other S3 clients do."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from minio.credentials.credentials import Credentials
from minio.credentials.providers import Provider
from starlette.responses import Response

from flstore_core import forks
from flstore_core.errors import FLStoreError, InvalidParameters, StoreUnavailable
from flstore_core.storage import open_store
from flstore_core.storage.s3.credentials import KEPT_S, Chain, NoCredentials
from tests.client.scripted import Script
from tests.outbound.conftest import Authority
from tests.relay import Rules, Seen, relay
from tests.servers import S3Server

AWS = {"AWS_ACCESS_KEY_ID": "ASIA123", "AWS_SECRET_ACCESS_KEY": "hidden-word"}
EXPIRES = "2999-01-01T00:00:00Z"


@contextmanager
def asked(env: Mapping[str, str], url: str = "s3://bucket") -> Iterator[list[Seen]]:
    """Yield the requests of a put and a get, as a server sees them that refuses both."""
    with relay(Rules(below="/no-such-path")) as server:
        with closing(open_store(url, {"FLSTORE_S3_ENDPOINT": server.url, "FLSTORE_S3_GIVE_UP_S": "0", **env})) as store:
            for ask in (lambda: store.put("k", b"1"), lambda: store.get("k")):
                with pytest.raises(FLStoreError):
                    ask()
        yield server.seen


def works(url: str, env: Mapping[str, str], key: str = "a/b c") -> None:
    """Write, read, list and delete over a store's URL."""
    with closing(open_store(url, env)) as store:
        store.put(key, b"123")
        assert store.get(key) == b"123"
        assert [info.key for info in store.list()] == [key]
        store.delete_prefix("a")
        assert not list(store.list())
        store.probe()


def bucket() -> str:
    return f"s3://b-{uuid4().hex}"


# Credentials.


@pytest.mark.parametrize(
    ("key", "secret", "token"),
    [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
        ("FLSTORE_S3_ACCESS_KEY", "FLSTORE_S3_SECRET_KEY", "FLSTORE_S3_SESSION_TOKEN"),
    ],
)
def test_a_session_token_goes_with_its_keys(key: str, secret: str, token: str) -> None:
    with asked({key: "ASIA123", secret: "s", token: "the-token"}) as (put, get):
        assert "X-Amz-Security-Token=the-token" in put.target
        assert get.headers["x-amz-security-token"] == "the-token"
    with asked({key: "ASIA123", secret: "s"}) as (put, get):
        assert "Security-Token" not in put.target
        assert "x-amz-security-token" not in get.headers


@pytest.mark.parametrize("missing", ["FLSTORE_S3_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"])
def test_half_a_pair_of_keys_is_refused(missing: str) -> None:
    pairs = ({"FLSTORE_S3_ACCESS_KEY": "a", "FLSTORE_S3_SECRET_KEY": "b"}, AWS)
    env = {name: text for pair in pairs if missing in pair for name, text in pair.items() if name != missing}
    with pytest.raises(InvalidParameters, match=f"{missing} is not set"):
        open_store("s3://bucket", env)


def test_a_profile_has_credentials_and_a_region(s3_server: S3Server, tmp_path: Path) -> None:
    keys = f"aws_access_key_id={s3_server.access_key}\naws_secret_access_key={s3_server.secret_key}\n"
    (tmp_path / "credentials").write_text(f"[default]\naws_access_key_id=other\n[hospital]\n{keys}")
    (tmp_path / "config").write_text("[profile hospital]\nregion = eu-central-1\n")
    env = {
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_PROFILE": "hospital",
    }
    works(bucket(), {**env, "FLSTORE_S3_ENDPOINT": s3_server.endpoint})
    with asked(env) as (_, get):
        assert "/eu-central-1/s3/" in get.headers["authorization"]


def test_a_web_identity_is_exchanged_for_keys(
    s3_server: S3Server, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jwt").write_text("the-identity")
    script.replies.append(
        Response(
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
            f"<AccessKeyId>{s3_server.access_key}</AccessKeyId><SecretAccessKey>{s3_server.secret_key}</SecretAccessKey>"
            f"<SessionToken>t</SessionToken><Expiration>{EXPIRES}</Expiration>"
            "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )
    )
    env = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "jwt"),
        "AWS_ROLE_ARN": "arn:aws:iam::1:role/flstore",
        "AWS_ENDPOINT_URL_STS": script.url,
    }
    with asked(env) as (_, get):
        assert get.headers["x-amz-security-token"] == "t"
        assert f"Credential={s3_server.access_key}/" in get.headers["authorization"]
    assert len(script.seen) == 1, "credentials that are valid are not fetched again"


def test_what_a_web_identity_is_refused_with_does_not_show_it(script: Script, tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text("the-identity")
    script.reply(status=403)
    env = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "jwt"), "AWS_ENDPOINT_URL_STS": script.url}
    with closing(open_store("s3://bucket", env)) as store, pytest.raises(StoreUnavailable) as caught:
        store.get("k")
    assert "web identity: " in str(caught.value)
    assert "403" in str(caught.value)
    assert "the-identity" not in str(caught.value)


def test_a_container_s_role_has_credentials(s3_server: S3Server, script: Script) -> None:
    script.reply(_role(s3_server))
    env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{script.url}/role", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}
    with asked(env) as (put, _):
        assert "X-Amz-Security-Token=t" in put.target
    assert [seen.path for seen in script.seen] == ["/role"]


def test_a_machine_s_role_has_credentials(s3_server: S3Server, script: Script) -> None:
    script.reply_bytes(b"imds-token")
    script.reply_bytes(b"the-role")
    script.reply(_role(s3_server))
    env = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": script.url, "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}
    with asked(env) as (_, get):
        assert get.headers["x-amz-security-token"] == "t"
    roles = "/latest/meta-data/iam/security-credentials/"
    assert [seen.path for seen in script.seen] == ["/latest/api/token", roles, f"{roles}the-role"]


def _role(server: S3Server) -> dict[str, str]:
    return {
        "AccessKeyId": server.access_key,
        "SecretAccessKey": server.secret_key,
        "Token": "t",
        "Expiration": EXPIRES,
    }


def test_where_no_credentials_are_every_source_is_named() -> None:
    env = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "AWS_PROFILE": "ward"}
    with closing(open_store("s3://bucket", env)) as store, pytest.raises(StoreUnavailable) as caught:
        store.get("k")
    said = str(caught.value)
    assert "profile: " in said
    assert "ward" in said
    assert "instance metadata" not in said
    assert "set FLSTORE_S3_ACCESS_KEY and FLSTORE_S3_SECRET_KEY" in said


class Source(Provider):
    """Returns what it is given in turn, or raises it."""

    def __init__(self, *outcomes: Credentials | Exception) -> None:
        self.outcomes = list(outcomes)

    def retrieve(self) -> Credentials:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def test_credentials_are_looked_up_again_after_a_while() -> None:
    first, second = Credentials("a", "b"), Credentials("c", "d")
    clock = SimpleNamespace(now=0.0)
    chain = Chain(lambda: {"file": Source(first, second)}, lambda: clock.now)
    assert chain.retrieve() is chain.retrieve() is first
    clock.now = KEPT_S + 1
    assert chain.retrieve() is second


def test_a_fork_while_another_thread_fetches_credentials_does_not_wait_for_it() -> None:
    found = Credentials("a", "b")
    chain = Chain(lambda: {"one": Source(found)})
    chain._lock.acquire()  # by a thread that the forked process does not have
    forks._begin_anew()
    assert chain.retrieve() is found


def test_the_next_source_is_asked_where_one_has_none() -> None:
    found = Credentials("a", "b")
    assert Chain(lambda: {"one": Source(OSError("gone")), "two": Source(found)}).retrieve() is found
    with pytest.raises(NoCredentials, match=r"one: gone; two: KeyError.*set FLSTORE_S3"):
        Chain(lambda: {"one": Source(OSError("gone")), "two": Source(KeyError())}).retrieve()


# Addresses.


@pytest.mark.parametrize(
    ("env", "url", "endpoint"),
    [
        ({"AWS_REGION": "eu-central-1"}, "s3://bucket", "https://s3.eu-central-1.amazonaws.com"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "s3://bucket", "https://s3.eu-west-1.amazonaws.com"),
        ({"FLSTORE_S3_REGION": "a-1", "AWS_REGION": "b-1"}, "s3://bucket", "https://s3.a-1.amazonaws.com"),
        ({"AWS_REGION": "b-1"}, "s3://bucket?region=c-1", "https://s3.c-1.amazonaws.com"),
        ({"AWS_CONFIG_FILE": "/nowhere"}, "s3://bucket", "https://s3.us-east-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL": "http://one"}, "s3://bucket", "http://one"),
        ({"AWS_ENDPOINT_URL": "http://one", "AWS_ENDPOINT_URL_S3": "http://two"}, "s3://bucket", "http://two"),
        ({"AWS_ENDPOINT_URL_S3": "http://two", "FLSTORE_S3_ENDPOINT": "http://three"}, "s3://bucket", "http://three"),
        ({"FLSTORE_S3_ENDPOINT": "http://three"}, "s3://bucket?endpoint=http://four/path", "http://four/path"),
    ],
)
def test_endpoint_and_region_come_from_the_url_or_the_environment(env: dict[str, str], url: str, endpoint: str) -> None:
    with closing(open_store(url, {**AWS, **env})) as store:
        assert repr(store) == f"S3Store({endpoint!r}, bucket='bucket', prefix='')"


def test_a_region_is_signed_for() -> None:
    with asked({**AWS, "AWS_DEFAULT_REGION": "eu-central-1"}) as (put, get):
        assert "%2Feu-central-1%2Fs3%2F" in put.target
        assert "/eu-central-1/s3/" in get.headers["authorization"]


def test_a_bucket_may_be_part_of_the_host_s_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with relay(Rules(upstream="http://127.0.0.1:9", below="/no")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        for style, target in (("virtual", "http://bucket.s3.test/k"), ("path", "http://s3.test/bucket/k")):
            url = f"s3://bucket?endpoint=http://s3.test&style={style}"
            store = open_store(url, {**AWS, "FLSTORE_S3_GIVE_UP_S": "0"})
            with closing(store), pytest.raises(FLStoreError):
                store.get("k")
            assert proxy.seen.pop().target == target


def test_amazon_is_addressed_by_virtual_hosts_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    with relay(Rules(credentials="never:given")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        for env, host in (({}, "bucket.s3.eu-west-1"), ({"FLSTORE_S3_STYLE": "path"}, "s3.eu-west-1")):
            settings = {**AWS, "AWS_REGION": "eu-west-1", "FLSTORE_S3_GIVE_UP_S": "0", **env}
            with closing(open_store("s3://bucket", settings)) as store, pytest.raises(StoreUnavailable):
                store.get("k")
            assert proxy.seen.pop().target == f"{host}.amazonaws.com:443"


@pytest.mark.parametrize("place", [{"FLSTORE_S3_STYLE": "dns"}, {}])
def test_an_unknown_style_is_refused(place: dict[str, str]) -> None:
    url = "s3://bucket" if place else "s3://bucket?style=dns"
    with pytest.raises(InvalidParameters, match="'dns' is no style of addressing a bucket; use one of auto, path"):
        open_store(url, {**AWS, **place})


def test_a_broken_configuration_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("region = without a section")
    with pytest.raises(InvalidParameters, match="the AWS configuration file cannot be read"):
        open_store("s3://bucket", {**AWS, "AWS_CONFIG_FILE": str(tmp_path / "config")})


# A real server behind what stands between.


def test_an_api_below_a_path_is_signed_with_the_path(s3_server: S3Server) -> None:
    with relay(Rules(s3_server.endpoint, below="/storage/v1/s3")) as front:
        # SeaweedFS knows such a path from X-Forwarded-Prefix, and compares it without its escapes.
        works(f"{bucket()}?endpoint={front.url}/storage/v1/s3", s3_server.env, key="a/b")
        assert all(seen.target.startswith("/storage/v1/s3/") for seen in front.seen)


def test_a_store_is_reached_through_a_proxy(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with relay(Rules(credentials="user:pass")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//user:pass@"))
        works(bucket(), s3_server.env)
        assert {seen.method for seen in proxy.seen} >= {"PUT", "GET"}


@pytest.mark.parametrize("variable", ["FLSTORE_S3_CA_BUNDLE", "AWS_CA_BUNDLE"])
def test_a_store_with_a_certificate_of_its_own_is_trusted_where_it_is_named(
    variable: str, s3_server: S3Server, authority: Authority
) -> None:
    with relay(Rules(s3_server.endpoint), authority.server) as front:
        env = {**s3_server.env, "FLSTORE_S3_ENDPOINT": front.url, "FLSTORE_S3_GIVE_UP_S": "0"}
        works(bucket(), {**env, variable: authority.file})
        with closing(open_store(bucket(), env)) as store, pytest.raises(StoreUnavailable):
            store.get("k")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bundle_without_certificates_is_refused(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    with pytest.raises(InvalidParameters, match=r"ca\.pem' is no file of certificates"):
        open_store("s3://bucket", {**AWS, "FLSTORE_S3_CA_BUNDLE": str(file)})
