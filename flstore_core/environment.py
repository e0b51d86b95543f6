"""The environment variables that FLStore reads, so that a misspelt one is noticed and not passed over.

Example: where POLCY is set in place of POLICY, behind the prefix of all settings, `misspelt` names both. A test holds
`SETTINGS` to docs/settings.md, and docs/settings.md to the sources.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

PREFIX: Final = "FLSTORE_"

SETTINGS: Final = frozenset(
    PREFIX + name
    for name in (
        *("STORE", "S3_ENDPOINT", "S3_REGION", "S3_STYLE", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_SESSION_TOKEN"),
        *("S3_CA_BUNDLE", "S3_GIVE_UP_S", "NETWORK_PROFILE"),
        *("HOST", "PORT", "LISTEN_FD", "LIFELINE_FD", "GRACE_SECONDS", "SERVICE_KEYS", "ADMIT_UNSIGNED", "LOG_LEVEL"),
        *("URL", "TOKEN"),
        *("PLACEMENT_URL", "TOKENS", "METRICS_TOKEN", "UPLOAD_LIMIT", "IN_FLIGHT_BYTES", "UPLOAD_PATIENCE_SECONDS"),
        *("RECORDS_BYTES", "MODELS_BYTES", "REFRESH_SECONDS", "SHARD_TIMEOUT_SECONDS", "ROOT_PATH", "THREADS"),
        *("CONNECTION_REQUESTS", "CONNECTION_SECONDS", "QUESTION_BYTES", "QUESTION_OPERATIONS"),
        *("CONSOLE_URL", "CONSOLE_API_URL", "CONSOLE_GRAFANA_URL", "CONSOLE_SESSION_SECONDS"),
        *("SHARD_ID", "CACHE_BYTES", "POLICY", "IDLE_SECONDS", "COMPUTE_THREADS"),
        *("DEVICE", "TORCH_THREADS", "RUN_SECONDS", "RUN_BYTES", "MEMORY_BYTES", "MODEL_FOLDER", "MODEL_NAME"),
        *("RUNTIME", "SHARDS", "PREDICTORS", "PREDICTOR_CACHE_BYTES", "RESYNC_SECONDS"),
        *("NAMESPACE", "RELEASE", "OWNER_NAME", "OWNER_KIND", "OWNER_UID"),
        *("SHARD_IMAGE", "PREDICTOR_IMAGE", "SHARD_CPU", "SHARD_MEMORY", "PREDICTOR_CPU", "PREDICTOR_MEMORY"),
        "PREDICTOR_RESOURCES",
        *("CONTAINER_CONCURRENCY", "STABLE_WINDOW", "SCALE_DOWN_DELAY", "RETENTION", "TIMEOUT_SECONDS"),
        *("STORE_SECRET", "KEYS_SECRET", "SERVICE_ACCOUNT", "LEASE_NAME", "CLUSTER_DOMAIN", "IMAGE_PULL_POLICY"),
        "ADDRESS",
    )
)
"""What docs/settings.md lists."""

DEVELOPMENT: Final = tuple(
    PREFIX + name for name in ("COMPILE", "E2E_", "FUZZ_CASES", "SOAK_SECONDS", "REDIS", "CACHE_NETWORK_PROFILE")
)
"""What the build, the tests and the load generator read begins like one of these."""


def misspelt(env: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable that begins like a setting of FLStore and is none, in order."""
    return [_hint(name) for name in sorted(env) if name.startswith(PREFIX) and not _is_read(name)]


def _is_read(name: str) -> bool:
    return name in SETTINGS or name.startswith(DEVELOPMENT)


def _hint(name: str) -> str:
    nearest = get_close_matches(name.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in SETTINGS], 1, 0.5)
    return f"{name} is no setting of FLStore" + (f"; nearest: {PREFIX}{nearest[0]}" if nearest else "")
