"""Pages name files that exist, and link to headings that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "charts").rglob("*.md")]
FOLDERS = ("charts", "docs", "flstore_core", "loadgen", "manifests", "services", "tests")


def links(page: Path) -> list[str]:
    """Return the targets of a page's links, those of other sites left out."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def paths(page: Path) -> set[str]:
    """Return the files and folders that a page names in code spans, without those that it tells its reader to write."""
    spans = re.findall(r"(?<!Write )(?<!write )(?<!Why not )`([\w./-]+)`", page.read_text())
    return {span for span in spans if span.startswith(tuple(f"{folder}/" for folder in FOLDERS))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{target} names no file"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{target} names no heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_exist(page: Path) -> None:
    missing = sorted(path for path in paths(page) if not (ROOT / path).exists())
    assert not missing
