"""Metrics of a predictor: KServe's own, which name models, and so jobs, are shown without names."""

import time

import pytest
from kserve.metrics import PREDICT_HIST_TIME
from prometheus_client.parser import text_string_to_metric_families

from services.predictor.metrics import render
from services.predictor.settings import Settings
from services.predictor.state import create_state
from tests.fakes.store import MemoryStore


def values(text: str) -> dict[str, float]:
    """Return the samples that have no label, by name."""
    families = text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


def test_kserve_s_metrics_are_added_up_over_jobs_and_name_none() -> None:
    state = create_state(Settings(cache_bytes=1000), MemoryStore(), time.monotonic)
    before = values(render(state).decode())
    for job, seconds in (("tenants-job-a", 0.5), ("tenants-job-b", 1.5), ("tenants-job-b", 2.0)):
        PREDICT_HIST_TIME.labels(model_name=job).observe(seconds)
    text = render(state).decode()
    after = values(text)
    assert "tenants-job" not in text
    counted = after["request_predict_seconds_count"] - before.get("request_predict_seconds_count", 0.0)
    assert counted == 3.0
    summed = after["request_predict_seconds_sum"] - before.get("request_predict_seconds_sum", 0.0)
    assert summed == pytest.approx(4.0)
    assert 'request_predict_seconds_bucket{le="+Inf"}' in text
    assert "process_cpu_seconds_total" in after, "metrics without the label stay as they are"
    assert 'flstore_cache_objects{shard="predictor-0"} 0.0' in text
