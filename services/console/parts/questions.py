"""The same question as lines to copy: for curl, in Python, and for the command line. Pure.

What is copied works as it stands, whatever names are in it: each language quotes its own way. A token is never part of
it; the lines take it from the environment.
"""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from flstore_core.client.naming import encoded
from flstore_core.ids import encode


def as_curl(url: str, job: str, workload: str, params: Mapping[str, Any]) -> str:
    address = f"{url}/v1/jobs/{encode(job, 'job')}/workloads/{workload}"
    body = json.dumps(encoded(params), ensure_ascii=False)
    return f'curl -H "Authorization: Bearer $FLSTORE_TOKEN" \\\n  {shlex.quote(address)} \\\n  -d {shlex.quote(body)}'


def as_python(url: str, job: str, workload: str, params: Mapping[str, Any]) -> str:
    given = f", **{params!r}" if params else ""
    return (
        "import os\n\n"
        "from flstore_core.client import FLStore\n\n"
        f"store = FLStore({url!r}, os.environ.get('FLSTORE_TOKEN'))\n"
        f"print(store.run({job!r}, {workload!r}{given}).result)"
    )


def as_command(url: str, job: str, workload: str, params: Mapping[str, Any]) -> str:
    pairs = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in params.items()]
    given = [f"-p {shlex.quote(pair)}" for pair in pairs]
    words = [f"FLSTORE_URL={shlex.quote(url)}", "flstore run", shlex.quote(job), shlex.quote(workload), *given]
    return " ".join(words)
