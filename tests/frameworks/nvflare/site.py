"""What each site does; NVFlare copies this file into the job."""

import json
import os

import nvflare.client as flare

from tests.frameworks import clients

PLAN = "STUDY_CONFIG"
"""Variable of the environment: what clients need to know."""


def main() -> None:
    config = json.loads(os.environ[PLAN])
    flare.init()
    number = int(flare.get_site_name().rpartition("-")[2]) - 1
    while flare.is_running():
        received = flare.receive()
        model = clients.layered(received.params["numpy_key"], config)
        sent, metrics = clients.train(model, config, number, received.current_round + 1)
        steps = {"NUM_STEPS_CURRENT_ROUND": metrics["num-examples"]}
        flare.send(flare.FLModel(params={"numpy_key": clients.flat(sent)}, params_type="FULL", meta=steps))


if __name__ == "__main__":
    main()
