"""What the programs that FLStore runs beside ask a node for, as their own manifests say.

The manifests are fetched by `kubectl apply -k`, which tests cannot do. Whoever raises a pin looks the requests up anew.
"""

from dataclasses import dataclass

KNATIVE = "v1.23.0"
"""Release of Knative Serving and of net-kourier that these numbers were read from."""


@dataclass(frozen=True, slots=True)
class Request:
    """What one pod asks for: thousandths of a core, and MiB."""

    cpu: int
    memory: int

    def __add__(self, other: "Request") -> "Request":
        return Request(self.cpu + other.cpu, self.memory + other.memory)

    def __sub__(self, other: "Request") -> "Request":
        return Request(self.cpu - other.cpu, self.memory - other.memory)

    def __mul__(self, pods: int) -> "Request":
        return Request(self.cpu * pods, self.memory * pods)


NOTHING = Request(0, 0)

CONTROL_PLANE = {
    "kube-apiserver": Request(250, 0),
    "kube-controller-manager": Request(200, 0),
    "kube-scheduler": Request(100, 0),
    "etcd": Request(100, 100),
    "coredns": Request(100, 70) * 2,
    "kindnet": Request(100, 50),
}
"""Of kubeadm (cmd/kubeadm/app/phases in kubernetes/kubernetes), and of kind (pkg/build/nodeimage/const_cni.go)."""

SERVING = {
    "activator": Request(300, 60),
    "autoscaler": Request(100, 100),
    "controller": Request(100, 100),
    "webhook": Request(100, 100),
}
"""Of config/core/deployments in knative/serving."""

KOURIER = {"net-kourier-controller": Request(200, 200), "3scale-kourier-gateway": Request(200, 200)}
"""Of config/300-controller.yaml and config/300-gateway.yaml in knative-extensions/net-kourier."""
