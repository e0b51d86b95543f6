"""What `helm test` runs, in the cluster: ingest one round, ask one question, and clean up. Exit code 0 is success."""

import json
import logging
import os
import uuid

import numpy as np

from flstore_core.client import FLStore

CLIENTS = 5
logger = logging.getLogger("smoke")


def main() -> None:
    """Raises when anything is not as it should be; the last line of the log says what."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    job = f"helm-test-{uuid.uuid4().hex[:8]}"
    rng = np.random.default_rng(7)
    honest = rng.normal(size=(64, 32)).astype(np.float32)
    with FLStore(os.environ["FLSTORE_URL"], writing_token(os.environ.get("FLSTORE_TOKENS", ""))) as store:
        store.create_job(job, like={"w": honest})
        try:
            for client in range(CLIENTS):
                update = honest + rng.normal(scale=0.1, size=honest.shape).astype(np.float32)
                store.put_update(job, 1, f"client-{client}", {"w": update if client else -honest})
            store.commit(job, 1)
            logger.info("ingested %d updates into round 1 of %s", CLIENTS, job)
            answer = store.run(job, "cosine-similarity", round=1)
            logger.info("cosine-similarity answered: %s", json.dumps(answer.result.raw)[:500])
            average = store.run_anew(job, "aggregate", round=1)
            logger.info("aggregate ran on %s", average.execution)
        finally:
            store.delete_job(job)


def writing_token(tokens: str) -> str | None:
    """Return the first token that may write any job; None where no tokens are asked for."""
    if not tokens:
        return None
    for grant in json.loads(tokens):
        if "token" in grant and grant.get("access") == "write" and "*" in grant.get("jobs", ["*"]):
            return str(grant["token"])
    raise SystemExit('no entry of FLSTORE_TOKENS has a "token" with access "write" to jobs ["*"]; the test needs one')


if __name__ == "__main__":
    main()
