"""Prices in a running gateway's answers and metrics."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import urllib3
from prometheus_client.parser import text_string_to_metric_families

from flstore_core.client import FLStore
from flstore_core.cost import Reads, objstore_request_bill
from services.local.running import running

CLIENTS = 4


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with running(str(tmp_path / "store"), shards=1, log=tmp_path / "log") as addresses:
        yield addresses.gateway


def test_an_answer_names_its_price_and_what_an_aggregator_would_cost(url: str) -> None:
    with FLStore(url) as store:
        _ingest(store)
        cost = store.run("priced", "cosine-similarity", round=1).execution.cost.raw
    assert 0 < cost["dollars"] == pytest.approx(cost["compute"] + cost["requests"])
    assert cost["objstore_dollars"] == pytest.approx(objstore_request_bill(Reads(CLIENTS, CLIENTS * 4000, 1)).total)
    assert 0 < cost["cache_dollars"] < cost["objstore_dollars"]


def test_costs_are_counted_by_kind(url: str) -> None:
    with FLStore(url) as store:
        _ingest(store)
        cost = store.run("priced", "cosine-similarity", round=1).execution.cost.raw
    text = urllib3.request("GET", url + "/metrics").data.decode()
    dollars_by_kind = {
        sample.labels["kind"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "flstore_cost_dollars_total"
    }
    assert dollars_by_kind["requests"] == pytest.approx(cost["dollars"])
    assert dollars_by_kind["requests_at_objstore"] == pytest.approx(cost["objstore_dollars"])
    assert dollars_by_kind["ingest"] > 0
    assert dollars_by_kind["commits"] > 0


def _ingest(store: FLStore) -> None:
    rng = np.random.default_rng(1)
    updates = [{"w": rng.standard_normal(1000).astype(np.float32)} for _ in range(CLIENTS)]
    store.create_job("priced", like=updates[0])
    for index, update in enumerate(updates):
        store.put_update("priced", 1, f"client-{index}", update)
    store.commit("priced", 1)
