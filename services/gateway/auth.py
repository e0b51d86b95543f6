"""Bearer tokens: who may read or write which jobs."""

import hashlib
import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hmac import compare_digest

from flstore_core.errors import Forbidden, InvalidParameters, Unauthorized


@dataclass(frozen=True, slots=True)
class Grant:
    """What one token allows."""

    digest: str
    """SHA-256 of the token, in hexadecimal; the token itself is not kept."""
    jobs: tuple[str, ...]
    """Job names, or patterns such as `team-a-*`."""
    write: bool


class Tokens:
    """The tokens that a gateway accepts.

    Args:
        text: JSON list of `{"token": …, "jobs": ["*"], "access": "read" | "write"}`; `"sha256"` may stand in place of
            `"token"`. Empty text lets everybody do everything.
    """

    def __init__(self, text: str) -> None:
        try:
            self._grants = tuple(_grant(entry) for entry in json.loads(text or "[]"))
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidParameters(
                'FLSTORE_TOKENS must be a JSON list of {"token", "jobs": [names], "access": "read" or "write"}'
            ) from error

    def check(self, authorization: str, job: str | None, *, write: bool) -> None:
        """Raise `Unauthorized` for an unknown token, `Forbidden` for one that does not allow this.

        Args:
            authorization: the request's header, `Bearer …`.
            job: the job that is read or written; None for what belongs to no job.
        """
        if not self._grants:
            return
        grant = self._find(authorization)
        if job is not None and not any(fnmatchcase(job, pattern) for pattern in grant.jobs):
            raise Forbidden(f"this token does not reach job {job!r}")
        if write and not grant.write:
            raise Forbidden("this token may read, not write")

    def visible(self, authorization: str, jobs: list[str]) -> list[str]:
        """Return those of `jobs` that the token reaches."""
        if not self._grants:
            return jobs
        grant = self._find(authorization)
        return [job for job in jobs if any(fnmatchcase(job, pattern) for pattern in grant.jobs)]

    def _find(self, authorization: str) -> Grant:
        scheme, _, token = authorization.partition(" ")
        digest = _digest(token.strip())
        grants = [grant for grant in self._grants if compare_digest(grant.digest, digest)]
        if scheme.lower() != "bearer" or not grants:
            raise Unauthorized("send 'Authorization: Bearer <token>' with a token that this gateway accepts")
        return grants[0]


def _grant(entry: object) -> Grant:
    if not isinstance(entry, dict):
        raise TypeError(entry)
    access = entry.get("access", "read")
    if access not in ("read", "write"):
        raise ValueError(access)
    jobs = entry.get("jobs", ["*"])
    if not isinstance(jobs, list):
        raise TypeError(jobs)
    digest = str(entry["sha256"]).lower() if "sha256" in entry else _digest(str(entry["token"]))
    return Grant(digest, tuple(str(job) for job in jobs), access == "write")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
