"""A stored model as KServe serves it: its own manifests, commands and arguments, and its own client.

What KServe's controller would do is done by hand: it gives the storage initializer the URI and the folder, the runtime
the name of the InferenceService, and both the same folder.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.constants.constants import PredictorProtocol

from manifests import chart
from manifests.generated import ROOT
from tests.models.gateways import ROWS, Gateway, gateway
from tests.models.small import output_of
from tests.servers import free_ports, wait_until

Json = dict[str, Any]
MOUNTED = "/mnt/models"


@pytest.fixture(scope="module")
def stored() -> Iterator[Gateway]:
    with gateway() as served:
        yield served


@dataclass(frozen=True)
class Cluster:
    """The part of KServe that is played: containers are processes, and volumes are folders."""

    made: Mapping[str, Json]
    """What the chart has made, by kind."""
    gateway: str
    folder: Path
    port: int

    def container(self, spec: Json, service: str, *args: str, **env: str) -> tuple[list[str], dict[str, str]]:
        """Return the command and environment of a container."""
        [program, *words] = spec["command"]
        programs = {"python": [sys.executable], "flstore": [str(Path(sys.executable).with_name("flstore"))]}
        named = {each["name"]: each["value"].replace("{{.Name}}", service) for each in spec["env"] if "value" in each}
        here = {name: text.replace(MOUNTED, str(self.folder)) for name, text in named.items()}
        return [*programs[program], *words, *args], {**here, "PATH": os.environ["PATH"], **env}

    def initialize(self, service: Json, token: str) -> subprocess.CompletedProcess[str]:
        """Run the init container that KServe puts into the pods of an InferenceService."""
        spec = self.made["ClusterStorageContainer"]["spec"]["container"]
        uri = service["spec"]["predictor"]["model"]["storageUri"]
        command, env = self.container(
            spec, service["metadata"]["name"], uri, str(self.folder), FLSTORE_URL=self.gateway, FLSTORE_TOKEN=token
        )
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    @contextmanager
    def serve(self, service: Json) -> Iterator[str]:
        """Run the runtime's container, and yield where it answers."""
        [spec] = self.made["ClusterServingRuntime"]["spec"]["containers"]
        address = {"FLSTORE_HOST": "127.0.0.1", "FLSTORE_PORT": str(self.port)}
        command, env = self.container(spec, service["metadata"]["name"], **address)
        url, path = f"http://127.0.0.1:{self.port}", spec["readinessProbe"]["httpGet"]["path"]
        process = subprocess.Popen(command, env=env, cwd=ROOT)
        try:
            wait_until(lambda: _answers(url + path), f"an answer of {path}", 100.0)
            yield url
        finally:
            process.terminate()
            assert process.wait() == 0


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def cluster(stored: Gateway, tmp_path: Path) -> Cluster:
    made = {item["kind"]: item for item in chart.render({"kserve": {"enabled": True}})}
    [port] = free_ports(1)
    return Cluster(made, stored.url, tmp_path / "models", port)


def inference_service(uri: str) -> Json:
    """Return the example, with another model."""
    service: Json = yaml.safe_load((ROOT / "manifests/examples/inferenceservice.yaml").read_text())
    service["spec"]["predictor"]["model"]["storageUri"] = uri
    return service


async def test_kserves_own_client_is_answered_in_both_protocols_as_pytorch_answers(cluster: Cluster) -> None:
    service = inference_service("flstore://moves/1/Hospital%20B")
    done = cluster.initialize(service, "reads-moves")
    assert (done.returncode, done.stderr) == (0, "")
    expected = pytest.approx(output_of(12, ROWS), rel=1e-4, abs=1e-5)
    with cluster.serve(service) as url:
        v1, v2 = (
            InferenceRESTClient(RESTConfig(protocol=protocol.value, timeout=60))
            for protocol in (PredictorProtocol.REST_V1, PredictorProtocol.REST_V2)
        )
        try:
            answers = [await v2.infer(url, _request(binary=binary), model_name="digits") for binary in (False, True)]
            predicted = await v1.infer(url, {"instances": ROWS.tolist()}, model_name="digits")
            assert await v2.is_server_ready(url)
            assert await v2.is_model_ready(url, "digits")
            plain = httpx.post(f"{url}/v2/models/digits/infer", json=_request(binary=False).to_rest()[0]).json()
        finally:
            await v1.close()
            await v2.close()
    assert plain["model_version"] == "1:x--Hospital_20B", "which KServe's own client drops"
    for answer in answers:
        assert answer.model_name == "digits"
        assert answer.outputs[0].as_numpy() == expected
    assert np.array(predicted["predictions"]) == expected


def test_a_pod_of_another_round_has_another_version_in_its_folder(cluster: Cluster) -> None:
    for uri, version in (("flstore://small/0", "0"), ("flstore://small/1", "1")):
        assert cluster.initialize(inference_service(uri), "reads-small").returncode == 0
        assert f'"model": "{version}"' in (cluster.folder / "flstore.json").read_text()


def test_a_token_that_does_not_reach_the_job_is_told_in_the_pods_status(cluster: Cluster) -> None:
    done = cluster.initialize(inference_service("flstore://small/1"), "reads-moves")
    assert done.returncode == 1
    assert done.stderr.startswith("error: The token does not allow this: this token does not reach job 'small'")


def _request(*, binary: bool) -> InferRequest:
    tensor = InferInput("images", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=binary)
    return InferRequest("any", [tensor], parameters={"binary_data_output": binary})
