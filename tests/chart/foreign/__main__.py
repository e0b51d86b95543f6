"""`python -m tests.chart.foreign FOLDER SOURCE CRD…`: write what the tests keep of other projects' CRDs."""

import json
import sys
from pathlib import Path

import yaml

from tests.chart.foreign import document_of


def main(folder: str, source: str, *paths: str) -> None:
    for path in paths:
        with open(path, encoding="utf-8") as file:
            document = document_of(yaml.load(file, Loader=yaml.CSafeLoader), source)
        target = Path(folder) / f"{document['kind']}.json"
        target.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
