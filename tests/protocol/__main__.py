"""`python -m tests.protocol --schedules N --seed S`: play schedules, and say which broke a promise."""

import argparse
import logging
import sys
import time
from collections import Counter

from tests.protocol.promises import broken
from tests.protocol.schedules import Schedule, play_seed
from tests.protocol.shrinking import shrink


def main() -> int:
    """Play the schedules of the command line."""
    parser = argparse.ArgumentParser(prog="tests.protocol", description=__doc__)
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first schedule; the others follow")
    parser.add_argument(
        "--shrink", action="store_true", help="make schedules that broke a promise as short as possible"
    )
    parser.add_argument("--steps", action="store_true", help="print every call of the schedules that broke a promise")
    options = parser.parse_args()
    logging.disable()
    began, calls, wishes, failures = time.monotonic(), 0, Counter[str](), 0
    for seed in range(options.seed, options.seed + options.schedules):
        schedule = play_seed(seed)
        calls += len(schedule.turns)
        wishes.update(wish.kind for client in schedule.plan.clients for wish in client)
        for promise in broken(schedule):
            failures += 1
            shown = shrink(schedule) if options.shrink else (schedule, promise)
            _report(*shown, options.steps or options.shrink)
    asked = ", ".join(f"{number} × {kind}" for kind, number in wishes.most_common())
    _say(f"{options.schedules} schedules, {calls} calls of the store in {time.monotonic() - began:.0f} s: {asked}")
    _say(f"{failures} broke a promise")
    return 1 if failures else 0


def _report(schedule: Schedule, promise: str, steps: bool) -> None:
    _say(f"BROKEN: {promise}\n{schedule}")
    for line in schedule.store.log.lines if steps else ():
        _say(f"    {line}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
