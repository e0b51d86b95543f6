"""`make chart`: lint, render and validate the chart under every values file, and print the count."""

import sys

from manifests import chart
from tests.chart.matrix import files, findings, values


def main() -> int:
    found = 0
    for path in files():
        told = list(findings(path))
        found += len(told)
        objects = len(chart.render(values(path)))
        sys.stdout.write(f"{path.parent.name}/{path.name}: {objects} objects, {len(told)} problems\n")
        sys.stdout.writelines(f"    {each}\n" for each in told)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
