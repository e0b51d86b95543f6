"""Connects to the cluster that the controller runs in, or to the one that a kubeconfig names."""

from collections.abc import Mapping

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from flstore_core.errors import InvalidParameters
from services.placement.kube.api import Api


async def connect(env: Mapping[str, str], namespace: str) -> Api:
    """Return the API of `namespace`, with the kubeconfig that KUBECONFIG names, or else as a pod of the cluster.

    Raises:
        InvalidParameters: if there is neither.
    """
    configuration = Configuration()
    try:
        if path := env.get("KUBECONFIG"):
            await config.load_kube_config(config_file=path, client_configuration=configuration)
        else:
            config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException as error:
        raise InvalidParameters(
            f"FLSTORE_RUNTIME is knative, but there is no cluster: {error}; run in a pod, or set KUBECONFIG"
        ) from error
    return Api(ApiClient(configuration), namespace)


def connect_to(url: str, namespace: str) -> Api:
    """Return the API of `namespace` on the server at `url`, which needs no credentials."""
    return Api(ApiClient(Configuration(host=url)), namespace)
