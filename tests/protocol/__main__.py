"""`python -m tests.protocol --schedules N --seed S`: play schedules, and say which broke a promise."""

import argparse
import sys
import time
from collections import Counter

from tests.protocol.promises import broken
from tests.protocol.schedules import Schedule, play


def main() -> int:
    """Play the schedules of the command line."""
    parser = argparse.ArgumentParser(prog="tests.protocol", description=__doc__)
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first schedule; the others follow")
    parser.add_argument("--steps", action="store_true", help="print every call of the schedules that broke a promise")
    options = parser.parse_args()
    began, calls, wishes, failures = time.monotonic(), 0, Counter[str](), 0
    for seed in range(options.seed, options.seed + options.schedules):
        schedule = play(seed)
        calls += schedule.history.step
        wishes.update(wish.kind for client in schedule.wishes for wish in client)
        for promise in broken(schedule):
            failures += 1
            _report(schedule, promise, options.steps)
    asked = ", ".join(f"{number} × {kind}" for kind, number in wishes.most_common())
    sys.stdout.write(
        f"{options.schedules} schedules, {calls} calls of the store; {asked}; {time.monotonic() - began:.0f} s"
    )
    sys.stdout.write(f"{failures} broke a promise\n")
    return 1 if failures else 0


def _report(schedule: Schedule, promise: str, steps: bool) -> None:
    sys.stdout.write(f"BROKEN: {promise}\n{schedule}\n")
    for line in schedule.store.told if steps else ():
        sys.stdout.write(f"    {line}\n")


if __name__ == "__main__":
    sys.exit(main())
