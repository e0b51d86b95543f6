"""`python -m tests.protocol --schedules N --seed S`: play schedules, and say which broke a promise."""

import argparse
import logging
import sys
import time
from collections import Counter
from contextlib import nullcontext

from tests.protocol.mends import MENDS, taken_out
from tests.protocol.promises import broken
from tests.protocol.schedules import Schedule, play_seed
from tests.protocol.shrinking import shrink


def main() -> int:
    """Do what the command line says; return 1 if a promise was broken, or if one should have been and was not."""
    options = _parse()
    logging.disable()
    with taken_out(MENDS[options.without]) if options.without else nullcontext():
        failures = _play(options)
    return int(failures == 0) if options.without else int(failures > 0)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.protocol", description=__doc__)
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first schedule; the others follow")
    parser.add_argument(
        "--shrink", action="store_true", help="make schedules that broke a promise as short as possible"
    )
    parser.add_argument("--steps", action="store_true", help="print every call of the schedules that broke a promise")
    mends = ", ".join(f"{mend.name} ({mend.without})" for mend in MENDS.values())
    parser.add_argument(
        "--without",
        choices=MENDS,
        metavar="MEND",
        help=f"take a mend out, play until a promise is broken, and make that schedule short: {mends}",
    )
    return parser.parse_args()


def _play(options: argparse.Namespace) -> int:
    """Play schedules; return how many broke a promise."""
    began, calls, wishes, failures = time.monotonic(), 0, Counter[str](), 0
    for seed in range(options.seed, options.seed + options.schedules):
        schedule = play_seed(seed)
        calls += len(schedule.turns)
        wishes.update(wish.kind for client in schedule.plan.clients for wish in client)
        for promise in broken(schedule):
            failures += 1
            _report(schedule, promise, options)
        if failures and options.without:
            break
    asked = ", ".join(f"{number} × {kind}" for kind, number in wishes.most_common())
    played = seed + 1 - options.seed
    _say(f"{played} schedules, {calls} calls of the store in {time.monotonic() - began:.0f} s: {asked}")
    _say(f"{failures} broke a promise")
    return failures


def _report(schedule: Schedule, promise: str, options: argparse.Namespace) -> None:
    _say(f"BROKEN: {promise}\n{schedule}")
    if options.shrink or options.without:
        schedule, promise = shrink(schedule)
        _say(f"SHORTER: {promise}\n{schedule}")
    for line in schedule.store.log.lines if options.steps or options.shrink or options.without else ():
        _say(f"    {line}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
