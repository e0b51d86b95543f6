"""The parts of a controller on Kubernetes, wired together."""

from collections.abc import Mapping
from dataclasses import replace

import httpx

from flstore_core.storage import ObjectStore
from services.placement.kube.api import Api
from services.placement.kube.connect import connect
from services.placement.kube.settings import KubernetesSettings
from services.placement.kube.timing import RealTime, Time
from services.placement.operator import Cluster, Operator
from services.placement.runtime.base import Watcher
from services.placement.runtime.knative.runtime import KnativeRuntime
from services.placement.settings import Settings
from services.placement.state import State, create_state


async def prepare(settings: Settings, env: Mapping[str, str]) -> tuple[KubernetesSettings, Api]:
    """Return the settings and the cluster's API; raise `InvalidParameters` for what cannot work."""
    kubernetes = KubernetesSettings.from_env(env)
    kubernetes.check_cache(settings.cache_bytes, settings.predictor_cache_bytes if settings.predictors else 0)
    return kubernetes, await connect(env, kubernetes.namespace)


def create_cluster_state(
    settings: Settings,
    kubernetes: KubernetesSettings,
    store: ObjectStore,
    api: Api,
    time: Time | None = None,
    client: httpx.AsyncClient | None = None,
) -> State:
    """Return the parts; called where the event loop runs. `client` as for `create_state`."""
    cluster = Cluster(api, kubernetes, time or RealTime())

    def runtime(watcher: Watcher) -> KnativeRuntime:
        return KnativeRuntime(api, kubernetes, cluster.owner, watcher, cluster.time, cluster.recorder, cluster.troubles)

    state = create_state(settings, store, runtime, elastic=True, sleep=cluster.time.sleep, client=client)
    assert isinstance(state.runtime, KnativeRuntime)
    operator = Operator(cluster, state.runtime, state.controller, state.board, store, state.client, settings.resync_s)
    return replace(state, leadership=operator)
