"""The whole platform on a real cluster: install, use, break, upgrade, uninstall. Run by `make e2e`, not by pytest.

`make e2e-chaos` breaks it under load: `chaos` says in which order, `storms` are the load, `answers` and `ledger` what
is judged at the end.

FLSTORE_E2E_KUBECONFIG names the cluster, which has Knative Serving and a network layer.
FLSTORE_E2E_VALUES names a values file with the images and the kind of store.
FLSTORE_E2E_URL is where the gateway is reached; without it `kubectl port-forward` reaches it.
"""
