"""Bearer tokens: who may read or write which jobs."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hmac import compare_digest

from flstore_core.errors import Forbidden, InvalidParameters, Unauthorized
from flstore_core.ids import decode

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Grant:
    """What one token allows."""

    digest: str
    """SHA-256 of the token, in hexadecimal; the token itself is not kept."""
    jobs: tuple[str, ...]
    """Job names, or patterns such as `team-a-*`. Names are as people give them, or as the store keeps them."""
    write: bool

    @property
    def name(self) -> str:
        """What tells this token from others, and is no secret."""
        return self.digest[:16]

    def reaches(self, job: str) -> bool:
        """Return whether the token is one for this job, under the name that it was given or that it is kept under."""
        names = {job, decode(job)}
        return any(fnmatchcase(name, pattern) for name in names for pattern in self.jobs)


class Tokens:
    """The tokens that a gateway accepts.

    Args:
        text: JSON list of `{"token": …, "jobs": ["*"], "access": "read" | "write"}`; `"sha256"` may stand in place of
            `"token"`. None lets everybody do everything.
        metrics_token: reads the metrics, and nothing else; "" for none.

    Raises:
        InvalidParameters: if the text is no such list, or an empty one. An empty list or an empty token is a mistake,
            such as a variable that was not filled in, and must not let everybody in.
    """

    def __init__(self, text: str | None, metrics_token: str = "") -> None:
        self._metrics_digest = _digest(metrics_token) if metrics_token else ""
        self._grants: tuple[Grant, ...] = ()
        if text is None:
            return
        try:
            self._grants = tuple(_grant(entry) for entry in json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidParameters(
                'FLSTORE_TOKENS must be a JSON list of {"token" or "sha256", "jobs": [names], "access": "read" or '
                '"write"}; no token may be empty'
            ) from error
        if not self._grants:
            raise InvalidParameters("FLSTORE_TOKENS has no token; leave it unset to let everybody in")

    def check(self, authorization: str, job: str | None, *, write: bool) -> str:
        """Return the caller's name, as `caller` does, if the caller may do this.

        Args:
            authorization: the request's header, `Bearer …`.
            job: the job that is read or written; None for what belongs to no job.

        Raises:
            Unauthorized: for an unknown token.
            Forbidden: for a token that does not allow this.
        """
        if not self._grants:
            return ""
        grant = self._find(authorization)
        if job is not None and not grant.reaches(job):
            raise Forbidden(f"this token does not reach job {job!r}")
        if write and not grant.write:
            raise Forbidden("this token may read, not write")
        return grant.name

    def check_metrics(self, authorization: str) -> None:
        """Raise `Unauthorized` or `Forbidden` unless the caller may read figures of all jobs."""
        if not self._grants:
            return
        if self._metrics_digest and compare_digest(_digest(_token(authorization)), self._metrics_digest):
            return
        if "*" not in self._find(authorization).jobs:
            raise Forbidden("metrics cover all jobs; use the token of FLSTORE_METRICS_TOKEN, or one for jobs '*'")

    def caller(self, authorization: str) -> str:
        """Return a name for the caller's token that is no secret; "" where everybody is let in."""
        return self._find(authorization).name if self._grants else ""

    def may_write(self, authorization: str, job: str) -> bool:
        """Return whether the caller may write a job."""
        try:
            self.check(authorization, job, write=True)
        except Forbidden:
            return False
        return True

    def visible(self, authorization: str, jobs: list[str]) -> list[str]:
        """Return those of `jobs` that the token reaches."""
        if not self._grants:
            return jobs
        grant = self._find(authorization)
        return [job for job in jobs if grant.reaches(job)]

    def _find(self, authorization: str) -> Grant:
        token = _token(authorization)
        digest = _digest(token)
        # All grants are compared, so that the time does not tell which one matches.
        grants = [grant for grant in self._grants if compare_digest(grant.digest, digest)]
        if not token or not grants:
            raise Unauthorized("send 'Authorization: Bearer <token>' with a token that this gateway accepts")
        return grants[0]


def _grant(entry: object) -> Grant:
    """Return the grant of one entry; raise `ValueError`, `KeyError` or `TypeError` if the entry is malformed."""
    if not isinstance(entry, dict):
        raise TypeError(entry)
    access = entry.get("access", "read")
    if access not in ("read", "write"):
        raise ValueError(access)
    jobs = entry.get("jobs", ["*"])
    if not isinstance(jobs, list):
        raise TypeError(jobs)
    return Grant(_digest_in(entry), tuple(str(job) for job in jobs), access == "write")


def _digest_in(entry: Mapping[str, object]) -> str:
    """Return the SHA-256 of an entry's token, which the entry holds as text or as its hash."""
    if "sha256" in entry:
        digest = str(entry["sha256"]).lower()
        if not _SHA256.fullmatch(digest):
            raise ValueError("sha256")
        return digest
    token = entry["token"]
    if not isinstance(token, str) or not token.strip():
        raise ValueError("token")
    return _digest(token)


def _token(authorization: str) -> str:
    """Return the token of a header; "" if it has another scheme."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
