"""Every generated file of this repository and what it should say."""

import json
from pathlib import Path
from typing import Any

import yaml

from flstore_core.policies import policy_names
from manifests import chart, readme
from manifests.dashboards import ALERTS, DASHBOARDS, grafana

ROOT = Path(__file__).parent.parent
CRD = Path("manifests/crd/fljobs.yaml")
SCHEMA = "charts/flstore/values.schema.json"
SAMPLES: dict[str, dict[str, Any]] = {
    "laptop": {
        "auth": {"serviceKeys": "a-sample-of-a-key-of-32-characters", "metricsToken": "sample-token"},
        "objectStore": {"accessKey": "sample", "secretKey": "sample-secret"},
        "observability": {"grafana": {"adminPassword": "sample-password"}},
    },
    "cluster": {
        "gateway": {"autoscaling": {"minReplicas": 2}, "resources": {"limits": {"memory": "2Gi"}}},
        "placement": {"replicas": 2},
        "shards": {"count": 8, "cacheBytes": "4GiB", "memory": "8Gi", "cpu": "1", "scaleDownDelay": "10m"},
        "auth": {"existingSecret": "flstore-tokens", "serviceKeysSecret": "flstore-keys"},
        "objectStore": {
            "kind": "external",
            "endpoint": "https://s3.example.org",
            "existingSecret": "flstore-s3",
            "bucket": "federated",
        },
        "observability": {"bundled": False, "podMonitor": {"enabled": True}},
        "networkPolicy": {"metricsFrom": {"kubernetes.io/metadata.name": "monitoring"}},
    },
}
"""Name of a rendered sample → the values it is rendered with."""


def generated() -> dict[str, str]:
    """Return path from the repository's root → text."""
    files = {f"charts/flstore/dashboards/{each.slug}.json": _json(grafana.dashboard(each)) for each in DASHBOARDS}
    files["charts/flstore/files/alerts.yml"] = _yaml(grafana.rules(ALERTS))
    files["charts/flstore/README.md"] = readme.render(chart.CHART)
    files[SCHEMA] = _values_schema((ROOT / SCHEMA).read_text(encoding="utf-8"))
    files["charts/flstore/crds/fljobs.yaml"] = (ROOT / CRD).read_text(encoding="utf-8")
    return files


def samples() -> dict[str, str]:
    """Return path → the chart rendered; dashboards are left out, being files of their own."""
    return {f"manifests/samples/{name}.yaml": _sample(values) for name, values in SAMPLES.items()}


def _sample(values: dict[str, Any]) -> str:
    objects = [each for each in chart.render(values) if "dashboard" not in each["metadata"]["name"]]
    return str(yaml.safe_dump_all(objects, sort_keys=False, width=120, allow_unicode=True))


def _values_schema(text: str) -> str:
    """Return the schema of the chart's values, with the caching policies that there are."""
    schema = json.loads(text)
    schema["properties"]["shards"]["properties"]["policy"] = {"enum": policy_names()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, width=120, allow_unicode=True))
