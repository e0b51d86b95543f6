"""`python -m manifests`: write everything that is generated, in place."""

from collections.abc import Mapping
from pathlib import Path

from manifests.generated import generated, samples

ROOT = Path(__file__).parent.parent


def main() -> None:
    _write(generated())
    _write(samples())  # of the chart as it is now


def _write(files: Mapping[str, str]) -> None:
    for path, text in files.items():
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
