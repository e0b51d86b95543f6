"""What a framework's program is asked to train, and what it tells of it. Programs run in environments of their own."""

import json
import os
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

DIGITS, RESNET = "digits", "resnet18"
FOLDER = "STUDY_FOLDER"
"""Variable of a program's environment: a folder for its files, which is removed when it has ended."""


@dataclass(frozen=True)
class Plan:
    """A training."""

    model: str = DIGITS
    """`digits` is learned; `resnet18` is as large as that, and takes random steps."""
    clients: int = 10
    rounds: int = 20
    attack: str = ""
    """What the first `attackers` clients send instead: `sign-flip` or `scaled-noise`."""
    attackers: int = 0
    absent: int = 0
    """How many clients, the first ones, do not take part; the others' data is what it is with them."""
    noise: float = 3.0
    """Norm of a scaled-noise attacker's update over that of its honest one."""
    alpha: float = 1.0
    """Of the Dirichlet distribution by which digits are dealt out: the smaller, the fewer kinds a client has."""
    seed: int = 1
    training_s: float = 0.0
    """Mean seconds for which clients do nothing, as if they trained on other machines; from 0.5 to 1.5 of it."""
    url: str = ""
    """Of FLStore; empty to train without it."""
    job: str = ""
    advice: str = "observe"
    transport: str = "value"
    deadline_s: float = 2.0
    """Seconds that each round waits for FLStore in all."""

    @property
    def present(self) -> int:
        """How many clients take part."""
        return self.clients - self.absent

    @property
    def config(self) -> dict[str, str | int | float]:
        """What clients need to know, in types that every framework's messages have."""
        names = ("model", "clients", "attack", "attackers", "absent", "noise", "alpha", "seed", "training_s")
        return {name: value for name, value in asdict(self).items() if name in names}


@dataclass(frozen=True)
class Outcome:
    """What came of a training."""

    accuracy: list[float] = field(default_factory=list)
    """Of the model on held-out digits: the initial one's, then after each round."""
    seconds: list[float] = field(default_factory=list)
    """What each round took."""
    peak_bytes: int = 0
    """The most memory that the server's process had."""
    version: str = ""
    """Of the framework."""


def peak_bytes() -> int:
    """Return the most memory that this process has had.

    `ru_maxrss` is not asked: it begins with what the process that started this one had.
    """
    (kib,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return 1024 * int(kib)


def answer(train: Callable[[Plan], Outcome]) -> None:
    """Train by the plan on the command line, and write the outcome as the last line of the output.

    A training that fails ends the process at once: threads of its framework would wait on.
    """
    try:
        outcome = train(Plan(**json.loads(sys.argv[1])))
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    sys.stdout.write("\n" + json.dumps(asdict(outcome)) + "\n")
    sys.stdout.flush()
