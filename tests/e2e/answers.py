"""Every answer that clients get while things break, those after which they ask again included."""

import re
import threading
from collections import Counter
from typing import Any

from flstore_core.client import FLStore
from flstore_core.client.exchange import NoResponse, Request, Response
from flstore_core.errors import PROBLEM_TYPE

PROBLEM = "application/problem+json"
ASKS_TO_WAIT = (429, 503)
NOBODY = "no answer"
"""A connection that was refused or lost: nobody was there to say anything."""
_REASON = re.compile(r"refused|reset by peer|Broken pipe|closed connection|IncompleteRead|timed out")


class Answers:
    """How often what was answered, and what was wrong with it. Safe to share between threads."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.flaws: list[str] = []
        self._lock = threading.Lock()

    def note(self, request: Request, outcome: Response | NoResponse) -> None:
        flaw = flaw_in(outcome)
        with self._lock:
            self.counts[word_for(outcome)] += 1
            if flaw:
                self.flaws.append(f"{request.method} {request.path}: {flaw}")

    def since(self, before: Counter[str]) -> str:
        """Say what was answered since `counts` was `before`."""
        return ", ".join(f"{count} × {word}" for word, count in sorted((self.counts - before).items()))


class Watched(FLStore):
    """A client that notes every answer, and asks again for minutes."""

    def __init__(self, url: str, answers: Answers, *, retries: int = 60) -> None:
        super().__init__(url, timeout=180.0, retries=retries)
        self._answers = answers

    def _send(self, request: Request) -> Response | NoResponse:
        outcome = super()._send(request)
        self._answers.note(request, outcome)
        return outcome


def word_for(outcome: Response | NoResponse) -> str:
    """Return a status, with the code of its problem: `201`, `429 busy`, `no answer, refused`."""
    if isinstance(outcome, NoResponse):
        return f"{NOBODY}, {reason[0]}" if (reason := _REASON.search(outcome.reason)) else NOBODY
    code = _problem_in(outcome).get("code", "") if outcome.status >= 400 else ""
    return f"{outcome.status} {code}".strip()


def flaw_in(outcome: Response | NoResponse) -> str | None:
    """Say why a caller could not tell what to do about an error; None if it can, or if there is none.

    Each error is a problem of FLStore's, none is a failure that nobody foresaw, and 429 and 503 say when to ask again.
    """
    if isinstance(outcome, NoResponse) or outcome.status < 400:
        return None
    problem, said = _problem_in(outcome), f"{outcome.status} {bytes(outcome.body[:200])!r}"
    if outcome.media_type != PROBLEM or not str(problem.get("type")).startswith(PROBLEM_TYPE):
        return f"no problem of FLStore: {said}"
    if problem.get("status") != outcome.status or problem.get("code") == "internal":
        return said
    if outcome.status in ASKS_TO_WAIT and not outcome.headers.get("retry-after", "").isdigit():
        return f"without Retry-After: {said}"
    return None


def _problem_in(response: Response) -> dict[str, Any]:
    """Return the problem, or nothing if the body is no JSON object."""
    document = response.document if response.is_json else None
    return document if isinstance(document, dict) else {}
