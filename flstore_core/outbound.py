"""Ways out of this machine as the environment names them: proxies, and the certificates that are trusted.

Every client here goes through this module, so that all honour the same variables:

    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY    `[http://][user:password@]host:port`; the names in small letters count too
    NO_PROXY                              hosts, domains, `host:port` and networks that are reached directly; `*` is all
    SSL_CERT_FILE, SSL_CERT_DIR           the certificates that OpenSSL trusts

Source: Python's `urllib.request` for names and precedence, curl's manual for networks in NO_PROXY.
"""

import ipaddress
import os
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from flstore_core import forks
from flstore_core.errors import InvalidParameters

_DEFAULT_PORTS = {"http": 80, "https": 443}
_RULE = "use http://[user:password@]host:port"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and what it wants to hear."""

    url: str
    """`http://host:port` or `https://host:port`, without the credentials."""
    headers: Mapping[str, str] = field(repr=False)
    """`proxy-authorization`, if the proxy asks for a user and a password."""


class OwnPools(urllib3.PoolManager):
    """Connection pools whose connections are used by no process but the one that opened them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        forks.keep(self)

    def begin_anew(self) -> None:
        """Leave all connections to the parent: this process is a fork of the one that opened them."""
        forks.leave(self.pools)
        self.pools = urllib3.PoolManager().pools


class _OwnProxyPools(OwnPools, urllib3.ProxyManager):
    """`OwnPools` through a proxy."""


def find_proxy(url: str) -> Proxy | None:
    """Return the proxy through which `url` is reached; None if it is reached directly.

    Raises:
        InvalidParameters: if the environment names a proxy of a kind that is not spoken here, or no proxy at all.
    """
    address = urlsplit(url)
    proxies = getproxies()
    name = address.scheme if address.scheme in proxies else "all"
    if not (text := proxies.get(name, "").strip()) or _is_direct(address.hostname or "", address.port, address.scheme):
        return None
    return _read(text, f"{name}_proxy")


def open_pools(url: str, trusted: str | None = None, **options: Any) -> urllib3.PoolManager:
    """Return connection pools for `url`, through its proxy if there is one.

    Args:
        trusted: a file of certificates to trust in place of the system's.
        options: of `urllib3.PoolManager`.

    Raises:
        InvalidParameters: as `find_proxy` and `trust`.
    """
    proxy = find_proxy(url)
    if trusted or url.startswith("https:"):
        options["ssl_context"] = trust(trusted)
    if proxy is None:
        return OwnPools(**options)
    if proxy.url.startswith("https:"):
        options["proxy_ssl_context"] = trust(trusted)
    return _OwnProxyPools(proxy.url, proxy_headers=proxy.headers, **options)


def trust(file: str | None) -> ssl.SSLContext:
    """Return a context that trusts the certificates in `file`, or those of the system.

    Raises:
        InvalidParameters: if the file holds no certificates or cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as error:  # ssl.SSLError is one
        raise InvalidParameters(
            f"{file!r} is no file of certificates: {error.strerror or error}; use one in PEM form"
        ) from error


def _read(text: str, name: str) -> Proxy:
    """Return the proxy that a variable names; its credentials are in no message."""
    proxy = _parse(text if "://" in text else f"http://{text}")
    if proxy is None or not proxy.host:
        raise InvalidParameters(f"{name} of the environment names no proxy; {_RULE}")
    if proxy.scheme not in _DEFAULT_PORTS:
        raise InvalidParameters(
            f"{name} of the environment names a {proxy.scheme} proxy, which is not supported; {_RULE}, or name the "
            "host in no_proxy"
        )
    port = proxy.port or _DEFAULT_PORTS[proxy.scheme]
    return Proxy(f"{proxy.scheme}://{proxy.host}:{port}", _credentials(proxy.auth))


def _credentials(auth: str | None) -> dict[str, str]:
    """Return the header of `user:password`, as Basic authentication in UTF-8 (RFC 7617)."""
    return {"proxy-authorization": f"Basic {b64encode(unquote_to_bytes(auth)).decode()}"} if auth else {}


def _parse(text: str) -> Url | None:
    try:
        return parse_url(text)
    except LocationParseError:
        return None


def _is_direct(host: str, port: int | None, scheme: str) -> bool:
    """Return whether `no_proxy` names a host, its port or a network that it lies in."""
    if proxy_bypass(f"{host}:{port or _DEFAULT_PORTS.get(scheme, 0)}") or proxy_bypass(host):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _direct_networks())


def _direct_networks() -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for entry in (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(","):
        try:
            yield ipaddress.ip_network(entry.strip(" []"), strict=False)
        except ValueError:
            continue  # A name: `proxy_bypass` knows it.
