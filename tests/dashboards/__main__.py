"""`make dashboards-check`: print how many panels and alerts were asked about and how many have data."""

import sys

from tests.dashboards.check import check


def main() -> int:
    answered = check()
    empty = [each for each in answered if not each.series]
    for each in empty:
        sys.stdout.write(f"no data: {each.where}\n    {each.promql}\n")
    for kind, chosen in (("alerts", True), ("panels", False)):
        places = {each.where for each in answered if each.where.startswith("alert ") is chosen}
        without = {each.where for each in empty} & places
        sys.stdout.write(f"{kind} checked: {len(places)}, with data: {len(places - without)}\n")
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main())
