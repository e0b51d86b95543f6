"""Proof that a request comes from a service of this deployment: a keyed code over all that the request says.

All services of a deployment have the same keys, and nobody else has them. The caller proves in one header that it has
one. The header's last word is HMAC-SHA256 of its other words and of the request:

    X-FLStore-Proof: 1 1764217200 9f86d081884c7d65 sha256:e3b0c442… 5d41402a…
                     │ │          │                │                └ code over the rest, method, path, query, message
                     │ │          │                └ digest of the body
                     │ │          └ nonce: no proof is accepted twice
                     │ └ seconds since the epoch: no proof is accepted for longer than `WINDOW_S`
                     └ version of this format

So a proof is accepted for one request, once, within a minute. The code is checked before a byte of the body is read.
The body is checked against its digest before anything is done with it.

**Two digests.** The digest of a short body is SHA-256. For a slice of 45 MB, that would take 50 ms on each side, a
quarter of the slice's whole ingest. The digest of a long body is GMAC (AES-256-GCM with nothing to encrypt, NIST
SP 800-38D), which takes 2 ms. Its key is derived from the nonce, for this body alone.
`docs/decisions/proofs-between-services.md` has the measurements and says why that is sound.

**Rotation.** The first key signs, and all keys verify. To replace a key without refusing a request: add the new key at
the end everywhere, then move it to the front everywhere, then remove the old key everywhere.

**An upgrade from version 0.1.0**, which signs nothing: backends and controller accept requests without a proof while
`FLSTORE_ADMIT_UNSIGNED` is `true`. Whoever can connect can then do what a gateway can, as with version 0.1.0.
"""

import hashlib
import hmac
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol
from urllib.parse import unquote

from flstore_core.errors import InvalidParameters, ProofRefused
from services.common.settings import boolean, read

PROOF_HEADER: Final = "X-FLStore-Proof"
VARIABLE: Final = "FLSTORE_SERVICE_KEYS"
UNSIGNED: Final = "FLSTORE_ADMIT_UNSIGNED"
"""Variable that is `true` while gateways of version 0.1.0 are being replaced: these sign nothing."""
NONE: Final = "none"
"""Value of `VARIABLE` for no proofs at all; only a service that listens on loopback may have it."""
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

WINDOW_S: Final = 60.0
"""Most seconds between the caller's clock when it signs and ours when the request arrives."""
MOST_NONCES: Final = 100_000
"""Nonces that are remembered, in about 10 MB. If more come within `WINDOW_S`, requests that were signed earlier than a
forgotten one are refused, because they might be repeats."""
LEAST_KEY_LENGTH: Final = 32
"""Characters; 43 of `secrets.token_urlsafe` are 256 bits."""
LONG: Final = 2**18
"""The digest of a body of so many bytes or more is GMAC."""

_VERSION: Final = "1"
_SHA256: Final = "sha256"
_GMAC: Final = "gmac"

Buffer = bytes | memoryview


class Digest(Protocol):
    """Takes in a body piece by piece."""

    def update(self, data: Buffer, /) -> object: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True)
class Keys:
    """The keys that all services of a deployment share. Without keys, nothing is signed and everything is accepted."""

    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    """The first one signs, and all verify."""
    admit_unsigned: bool = False
    """Whether a request without a proof is accepted too. One with a proof is checked in any case."""

    @classmethod
    def parse(cls, text: str) -> "Keys":
        """Return the keys of a comma-separated list; raise `InvalidParameters` for one that can be guessed."""
        if text.strip() == NONE:
            return cls()
        keys = tuple(key.strip().encode() for key in text.split(",") if key.strip())
        if not keys:
            raise InvalidParameters("there is no key in it; use at least one")
        if any(len(key) < LEAST_KEY_LENGTH for key in keys):
            raise InvalidParameters(f"a key is too short; use {LEAST_KEY_LENGTH} random characters or more")
        return cls(keys)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Keys":
        """Return the keys of FLSTORE_SERVICE_KEYS, with what FLSTORE_ADMIT_UNSIGNED says.

        Raises:
            InvalidParameters: if the variable is not set, holds an unusable key, or is `none` although the service
                listens on more than loopback; if FLSTORE_ADMIT_UNSIGNED is neither `true` nor `false`.
        """
        text = env.get(VARIABLE, "")
        if not text.strip():
            raise InvalidParameters(f"{VARIABLE} is not set; every service of a deployment needs the same random key")
        try:
            keys = cls.parse(text)
        except InvalidParameters as error:
            raise InvalidParameters(f"{VARIABLE}: {error.detail}") from error
        host = env.get("FLSTORE_HOST") or "127.0.0.1"
        if not keys.secrets and host not in LOOPBACK:
            raise InvalidParameters(
                f"{VARIABLE} is {NONE!r} and FLSTORE_HOST {host!r}, where others can connect; set a key"
            )
        return replace(keys, **read(env, {UNSIGNED: ("admit_unsigned", boolean)}))

    def sign(self, method: str, target: str, body: Iterable[Buffer] = (), message: str = "") -> dict[str, str]:
        """Return the header that proves a request, by its name; no header without keys.

        Args:
            target: path and query, as they are sent.
            body: consecutive pieces of the body.
            message: value of `flstore_core.shard.protocol.MESSAGE_HEADER`, "" without that header.
        """
        if not self.secrets:
            return {}
        key, nonce, pieces = self.secrets[0], secrets.token_hex(16), list(body)
        kind = _GMAC if sum(memoryview(piece).nbytes for piece in pieces) >= LONG else _SHA256
        digest = _new_digest(kind, key, nonce)
        for piece in pieces:
            digest.update(piece)
        path, _, query = target.partition("?")
        head = f"{_VERSION} {int(time.time())} {nonce} {kind}:{digest.hexdigest()}"
        return {PROOF_HEADER: f"{head} {_code(key, head, method, unquote(path), query, message)}"}


def new_key() -> str:
    """Return a random key."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that is accepted as soon as the body has the digest that was signed."""

    kind: str
    """Which digest the body has."""
    expected: str
    """The digest that was signed, in hexadecimal."""
    digest: Digest
    """Takes in the body as it is received."""

    @property
    def covers_long_body(self) -> bool:
        return self.kind == _GMAC

    def check_body(self) -> None:
        """Raise `ProofRefused` unless what `digest` took in is what the caller signed."""
        if not hmac.compare_digest(self.digest.hexdigest(), self.expected):
            raise ProofRefused("the body is not the one that was signed")


class Verifier:
    """Checks proofs, and remembers nonces. Used from one thread."""

    def __init__(self, keys: Keys, now: Callable[[], float] = time.time, most_nonces: int = MOST_NONCES) -> None:
        self._keys = keys
        self._now = now
        self._most = most_nonces
        self._nonces: set[str] = set()
        self._arrivals: deque[tuple[str, int]] = deque()
        """The nonces in order of arrival, each with its proof's time."""
        self._forgotten_until = 0
        """The time of the latest proof whose nonce was forgotten. Proofs of that time or earlier are refused."""

    def check(self, header: str, method: str, path: str, query: str, message: str) -> Proof:
        """Return a proof to check the body with; raise `ProofRefused` for a header that does not prove this request.

        Args:
            header: value of `PROOF_HEADER`.
            path: decoded, as ASGI has it.
        """
        # The code is checked first. Only a caller with a key can make this remember anything or learn our time.
        head, _, code = header.rpartition(" ")
        match head.split(" "):
            case [version, moment, nonce, digest] if version == _VERSION and moment.isdecimal() and len(moment) < 12:
                key = self._find_key(code, (head, method, path, query, message))
                self._check_time(int(moment))
                self._remember(nonce, int(moment))
                kind, _, expected = digest.partition(":")
                return Proof(kind, expected, _new_digest(kind, key, nonce))
        raise ProofRefused(f"send {PROOF_HEADER}, which only services of this deployment can make")

    def _find_key(self, code: str, signed: tuple[str, str, str, str, str]) -> bytes:
        for key in self._keys.secrets:
            if hmac.compare_digest(_code(key, *signed).encode(), code.encode()):
                return key
        raise ProofRefused(f"the proof is of another key or another request; compare {VARIABLE} on both sides")

    def _check_time(self, signed_at: int) -> None:
        age = self._now() - signed_at
        if abs(age) > WINDOW_S:
            raise ProofRefused(
                f"the request was signed {abs(age):.0f} s {'ago' if age > 0 else 'ahead'} by this clock; at most "
                f"{WINDOW_S:.0f} s are accepted, so compare the clocks"
            )

    def _remember(self, nonce: str, signed_at: int) -> None:
        if nonce in self._nonces:
            raise ProofRefused("this very request came before; sign each request anew")
        if signed_at <= self._forgotten_until:
            raise ProofRefused("too many requests came since this one was signed; sign it anew")
        self._forget_old()
        self._nonces.add(nonce)
        self._arrivals.append((nonce, signed_at))

    def _forget_old(self) -> None:
        """Forget nonces of proofs that are too old to be accepted, and those that came first if there are too many.

        Proofs arrive out of order, so a nonce of an older proof may still be remembered behind a forgotten one. That
        does no harm: all proofs up to `_forgotten_until` are refused, remembered or not.
        """
        oldest = self._now() - WINDOW_S
        while self._arrivals and (self._arrivals[0][1] < oldest or len(self._arrivals) >= self._most):
            nonce, signed_at = self._arrivals.popleft()
            self._nonces.discard(nonce)
            self._forgotten_until = max(self._forgotten_until, signed_at)


class _Gmac:
    """GMAC of one body. GCM needs a new pair of key and initialisation vector for each body; the key is new each time,
    so the vector may always be zero."""

    def __init__(self, key: bytes) -> None:
        # Imported here, because it takes 15 ms: a shard that starts to answer a question need not wait for it.
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import AES
        from cryptography.hazmat.primitives.ciphers.modes import GCM

        self._encryptor = Cipher(AES(key), GCM(bytes(12))).encryptor()
        self.update = self._encryptor.authenticate_additional_data

    def hexdigest(self) -> str:
        self._encryptor.finalize()
        return self._encryptor.tag.hex()


def _new_digest(kind: str, key: bytes, nonce: str) -> Digest:
    if kind == _GMAC:
        return _Gmac(hmac.digest(key, f"{_GMAC} {nonce}".encode(), _SHA256))
    return hashlib.sha256()


def _code(key: bytes, head: str, method: str, path: str, query: str, message: str) -> str:
    """Return the code over a request. Joined as JSON, no two different lists of parts become the same text."""
    return hmac.digest(key, json.dumps([head, method, path, query, message]).encode(), _SHA256).hex()
