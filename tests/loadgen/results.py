"""A run's results as `loadgen.run.results` writes them, small and with round figures."""

from typing import Any

LATENCIES: dict[str, Any] = {
    "count": 4,
    "mean_ms": 2.5,
    "p50_ms": 2.0,
    "p90_ms": 4.0,
    "p99_ms": 4.0,
    "p99.9_ms": 4.0,
    "max_ms": 4.0,
}


def result(**changes: Any) -> dict[str, Any]:
    """Return the results of four requests in two seconds."""
    return {
        "form": "flstore-load/1",
        "headline": "4 requests at the rate of the trace",
        "partial": False,
        "target": "http://127.0.0.1:8080",
        "plan": {"speed": 1.0},
        "elapsed_s": 2.0,
        "rate_per_s": 2.0,
        "requests": {"overall": LATENCIES, "P2": LATENCIES, "audit (P2)": LATENCIES},
        "curves": {"overall": [(1.0, 0.5), (4.0, 1.0)], "P2": [(1.0, 0.5), (4.0, 1.0)]},
        "asked": 4,
        "answered": 4,
        "postponed": 1,
        "errors": {},
        "hit_rate": 0.75,
        "hit_rates": {"P2": 0.75},
        "uploads": LATENCIES,
        "uploaded_bytes": 4000,
        "commits": LATENCIES,
        "lag": LATENCIES,
        "dollars": 0.000002,
        "costs": {"ingest": 0.004, "commits": 0.002},
        "seconds": {
            "0": {"requests": 2, "errors": 0, "hits": 1, "dollars": 1e-6, "awake": 1},
            "1": {"requests": 2, "errors": 0, "hits": 2, "dollars": 1e-6, "awake": None},
        },
        **changes,
    }
