"""Both clients of the gateway on their way out: through proxies, past them, and over TLS."""

import asyncio
from collections.abc import Callable

import pytest

from flstore_core.client import AsyncFLStore, FLStore
from flstore_core.errors import FLStoreError, InvalidParameters, Unavailable
from tests.client.scripted import Script
from tests.outbound.conftest import Authority
from tests.relay import Rules, relay

USER = "us%40er:s%3Aécret"
PLAIN = "us@er:s:écret"


def ask_blocking(url: str) -> object:
    with FLStore(url, retries=0) as client:
        return client.jobs()


def ask_awaited(url: str) -> object:
    async def ask() -> object:
        async with AsyncFLStore(url, retries=0) as client:
            return await client.jobs()

    return asyncio.run(ask())


Ask = Callable[[str], object]
both = pytest.mark.parametrize("ask", [ask_blocking, ask_awaited])


@both
@pytest.mark.parametrize("scheme", ["http://", ""])
@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_proxy_is_told_user_and_password(
    ask: Ask, scheme: str, name: str, gateway: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    with relay(Rules(credentials=PLAIN)) as proxy:
        monkeypatch.setenv(name, f"{scheme}{USER}@{proxy.url.removeprefix('http://')}")
        assert ask(gateway.url) == []
        assert [seen.target for seen in proxy.seen] == [f"{gateway.url}/v1/jobs"]


@both
def test_a_proxy_that_wants_another_password_is_an_error_without_it(
    ask: Ask, gateway: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    with relay(Rules(credentials="other:word")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", f"//{USER}@"))
        with pytest.raises(FLStoreError, match="407") as caught:
            ask(gateway.url)
    assert "cret" not in str(caught.value)


@both
@pytest.mark.parametrize("direct", ["127.0.0.1", "10.0.0.0/8, 127.0.0.0/8", "*", "[::1],127.0.0.1"])
def test_no_proxy_names_hosts_and_networks(
    ask: Ask, direct: str, gateway: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", direct)
    assert ask(gateway.url) == []


@both
@pytest.mark.parametrize("direct", ["", "127.0.0.1:1", "10.0.0.0/8", "example.org"])
def test_what_no_proxy_does_not_name_goes_through_the_proxy(
    ask: Ask, direct: str, gateway: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", direct)
    with pytest.raises(Unavailable):
        ask(gateway.url)


@both
@pytest.mark.parametrize(
    ("proxy", "complaint"),
    [
        ("socks5://u:secret@127.0.0.1:9", "socks5 proxy, which is not supported"),
        ("ftp://u:secret@127.0.0.1:9", "ftp proxy, which is not supported"),
        ("http://", "names no proxy"),
        ("http://u:secret@h:port", "names no proxy"),
    ],
)
def test_a_proxy_of_another_kind_is_refused_with_a_word(
    ask: Ask, proxy: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    with pytest.raises(InvalidParameters, match=f"all_proxy of the environment .*{complaint}") as caught:
        ask("http://gateway.example")
    assert "secret" not in str(caught.value)


@both
def test_tls_is_tunnelled_through_a_proxy(
    ask: Ask, gateway: Script, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with relay(Rules(gateway.url), authority.server) as front, relay(Rules(credentials=PLAIN)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url.replace("//", f"//{USER}@"))
        monkeypatch.setenv("SSL_CERT_FILE", authority.file)
        assert ask(front.url) == []
        assert [seen.method for seen in proxy.seen] == ["CONNECT"]


@both
def test_a_proxy_may_speak_tls_itself(
    ask: Ask, gateway: Script, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with relay(Rules(credentials=PLAIN), authority.server) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", f"//{USER}@"))
        monkeypatch.setenv("SSL_CERT_FILE", authority.file)
        assert ask(gateway.url) == []
        assert len(proxy.seen) == 1


@both
def test_an_unknown_authority_is_not_trusted(ask: Ask, gateway: Script, authority: Authority) -> None:
    with relay(Rules(gateway.url), authority.server) as front, pytest.raises(Unavailable, match="certificate"):
        ask(front.url)
