"""The API server that the tests run against: one in memory, or the one that KUBECONFIG names.

A real server needs no nodes and no Knative (envtest's is enough): the tests bring the two definitions along, work in a
namespace of their own, and write what Knative's controllers would.
"""

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import yaml
from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from services.placement.kube.resources import CONFIG_MAPS
from tests.kubernetes.apiserver import NAMESPACE, api_server
from tests.kubernetes.clock import BREATH_S
from tests.kubernetes.definition import CRD
from tests.kubernetes.hand import Hand
from tests.kubernetes.wire import Wire, wire

OWNER = "flstore-owner"
REAL_BREATH_S = 0.03
"""A real server writes to disk, and its own controllers follow by watches."""

OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
KNATIVE_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "services.serving.knative.dev"},
    "spec": {
        "group": "serving.knative.dev",
        "scope": "Namespaced",
        "names": {"kind": "Service", "plural": "services", "singular": "service"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": OPEN, "status": OPEN}}},
            }
        ],
    },
}


@dataclass(frozen=True)
class Cluster:
    """Where it is reached, and by what it is disturbed."""

    url: str
    """The controller's way, which `wire` disturbs."""
    namespace: str
    wire: Wire
    hand: Hand
    breath_s: float = BREATH_S
    """How long everybody in it takes for one thing that leads to another."""


@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    """Yield a namespace with nothing but the release's owner in it."""
    async with _server() as (upstream, namespace, headers, tls), wire(upstream, headers, tls) as (url, between):
        assert between.session is not None
        hand = Hand(between.session, upstream, namespace, headers, tls)
        await hand.create(CONFIG_MAPS, {**CONFIG_MAPS.head(OWNER), "data": {}})
        yield Cluster(url, namespace, between, hand, REAL_BREATH_S if os.environ.get("KUBECONFIG") else BREATH_S)


@asynccontextmanager
async def _server() -> AsyncIterator[tuple[str, str, dict[str, str], Any]]:
    path = os.environ.get("KUBECONFIG")
    if not path:
        async with api_server() as (url, _):
            yield url, NAMESPACE, {}, None
        return
    configuration = Configuration()
    await config.load_kube_config(config_file=path, client_configuration=configuration)
    tls = _tls(configuration)
    token = configuration.api_key.get("BearerToken")
    headers = {"Authorization": token} if token else {}
    namespace = f"flstore-{uuid4().hex[:8]}"
    async with aiohttp.ClientSession(
        configuration.host, headers=headers, connector=aiohttp.TCPConnector(ssl=tls)
    ) as api:
        for definition in (KNATIVE_CRD, yaml.safe_load(CRD.read_text())):
            await api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=definition)
        await api.post("/api/v1/namespaces", json={"metadata": {"name": namespace}})
        try:
            yield configuration.host, namespace, headers, tls
        finally:
            await api.delete(f"/api/v1/namespaces/{namespace}")


def _tls(configuration: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context
