"""A job of NVFlare in its simulator: the server and each site as processes of this machine.

The app is run as by `python job.py`, but for the ports that its sites get: see `tests.frameworks.nvflare.ports`.
"""

import os
from pathlib import Path

from tests.frameworks.environments import ROOT
from tests.frameworks.processes import run_to_end

LONGEST_S = 300.0
"""Seconds after which a run counts as lost."""
START = """
import runpy, sys
sys.path.append(sys.argv.pop())
from tests.frameworks.nvflare.ports import keep_ports
keep_ports()
runpy.run_path("job.py", run_name="__main__")
"""


def simulate(programs: Path, app: Path, folder: Path, allowed: str = "") -> str:
    """Run an app to its end, in a workspace below a folder, and return what was logged.

    Args:
        allowed: the gateway that sites may be sent to.

    Raises:
        RuntimeError: if it fails; what was logged is part of the message.
    """
    env = {**os.environ, "NVFLARE_SIMULATOR_WORKSPACE_ROOT": str(folder / "workspace"), "FLSTORE_URL": allowed}
    env.pop("PYTHONPATH", None)
    command = [str(programs / "python"), "-c", START, str(ROOT)]
    ended = run_to_end(command, cwd=app, env=env, longest_s=LONGEST_S)
    logged = ended.stdout + ended.stderr
    if ended.returncode:
        raise RuntimeError(f"the app of NVFlare failed ({ended.returncode}): {logged[-4000:]}")
    return logged
