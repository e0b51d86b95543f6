"""What the predictors of these tests fork their programs' processes from: one zygote, since PyTorch takes a second."""

import atexit
from functools import cache

from services.predictor.confined.launch import Launcher


@cache
def launcher() -> Launcher:
    """Return the one launcher of this test process."""
    found = Launcher()
    found.start()
    atexit.register(found.close)
    return found
