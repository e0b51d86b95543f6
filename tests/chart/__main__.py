"""`make chart`: lint, render and validate the chart under every values file, and print the count."""

import sys

from tests.chart.matrix import check, files


def main() -> int:
    found = 0
    for path in files():
        checked = check(path)
        found += len(checked.problems)
        name = f"{path.parent.name}/{path.name}"
        sys.stdout.write(f"{name}: {checked.objects} objects, {len(checked.problems)} problems\n")
        sys.stdout.writelines(f"    {each}\n" for each in checked.problems)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
