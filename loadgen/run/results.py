"""A run's results as plain data, with the sentence that says whether it reached its rate."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flstore_core.errors import InvalidParameters
from loadgen.run.runner import Pace, Plan, Replay
from loadgen.run.tally import Tally

FORM = "flstore-load/1"
ON_TIME_MS = 50.0
"""The generator was on time if 99 of 100 events were sent at most so many milliseconds late."""
UNANSWERED = 0.01
"""Share of requests that may be unanswered when the last is sent; if more are, the target fell behind."""


def outcome(about: Mapping[str, Any], plan: Plan, replay: Replay, tally: Tally, stopped: str = "") -> dict[str, Any]:
    """Return everything a report needs.

    Args:
        about: facts of the run for the report: scenario, system, network.
        stopped: why the run ended early, if it did.
    """
    elapsed = replay.elapsed
    return {
        "form": FORM,
        "headline": (stopped and f"PARTIAL: {stopped}") or headline(plan, replay, tally),
        "partial": bool(stopped),
        **about,
        "plan": {**asdict(plan), "pace": plan.pace.value},
        "elapsed_s": round(elapsed, 3),
        "rate_per_s": round(tally.answered / elapsed, 3) if elapsed else 0.0,
        "requests": {name: latencies.to_json() for name, latencies in tally.named()},
        "curves": {name: latencies.curve() for name, latencies in tally.named()},
        "asked": tally.asked,
        "answered": tally.answered,
        "postponed": tally.postponed,
        "errors": dict(tally.errors),
        "hit_rate": round(tally.hit_rate, 5),
        "hit_rates": {
            pattern.value: round(tally.hits[pattern] / latencies.count, 5)
            for pattern, latencies in tally.by_pattern.items()
        },
        "uploads": tally.uploads.to_json(),
        "uploaded_bytes": tally.uploaded_bytes,
        "commits": tally.commits.to_json(),
        "lag": tally.lag.to_json(),
        "dollars": tally.dollars,
        "seconds": {str(at): asdict(second) for at, second in sorted(tally.seconds.items())},
    }


def headline(plan: Plan, replay: Replay, tally: Tally) -> str:
    """Return a sentence that says whether the run reached the rate of its trace."""
    if plan.pace is Pace.SERIAL:
        return f"{tally.answered} requests, one after the other"
    lag = tally.lag.quantile_ms(99.0)
    if lag > ON_TIME_MS:
        return f"DID NOT REACH ITS RATE: the generator was late, by {lag:.0f} ms for one event in a hundred"
    if replay.late > max(1, math.ceil(UNANSWERED * tally.asked)):
        return (
            f"DID NOT REACH ITS RATE: {replay.late} of {tally.asked} requests were unanswered when the last was sent; "
            "the target fell behind"
        )
    return f"{tally.answered} requests at the rate of the trace"


def save(result: Mapping[str, Any], path: Path) -> None:
    """Write results atomically; raise `InvalidParameters` if that fails, and leave the unfinished file."""
    unfinished = path.with_suffix(path.suffix + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise InvalidParameters(
            f"results cannot be written to {str(path)!r}: {error.strerror}; what was written is in {str(unfinished)!r}"
        ) from error


def load(path: Path) -> dict[str, Any]:
    """Read results; raise `InvalidParameters` for a file without results of this form."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidParameters(f"{str(path)!r} has no results: {error}") from error
    if not isinstance(result, dict) or result.get("form") != FORM:
        raise InvalidParameters(f"{str(path)!r} has no results of the form {FORM}")
    return result
