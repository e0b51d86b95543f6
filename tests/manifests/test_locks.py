"""What the images install: locked as it was tested, in whole and by hash, and named in their bills of materials."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "manifests" / "images"
IMAGES = {
    "flstore": ("kubernetes", "otel"),
    "flstore-console": ("console",),
    "flstore-torch": ("otel", "torch"),
    "flstore-torch-cuda": ("otel", "torch"),
}
TORCH = {"flstore-torch": "torch-cpu.txt", "flstore-torch-cuda": "torch-cuda.txt"}
CUDA = re.compile(r"(cuda|nvidia)-.+|triton")
"""What PyTorch's build for GPUs brings. No test runs with it, so constraints.txt does not have it."""
OURS = {"flstore", "flstore-server"}


def locked(*files: str) -> dict[str, tuple[str, set[str]]]:
    """Return name → version and SHA-256s; every line is one of a package, of a hash or a comment."""
    packages: dict[str, tuple[str, set[str]]] = {}
    name = ""
    for line in "".join((LOCKS / file).read_text() for file in files).splitlines():
        if package := re.match(r"([a-z0-9-]+)==(\S+) ", line):
            name = package[1]
            packages[name] = (package[2], set())
        elif sha256 := re.fullmatch(r" {4}--hash=sha256:([0-9a-f]{64})( \\)?", line):
            packages[name][1].add(sha256[1])
        else:
            assert line.startswith("#"), line
    return packages


def locks(image: str) -> tuple[str, ...]:
    return ("flstore-torch.txt", TORCH[image]) if image in TORCH else (f"{image}.txt",)


def declared(name: str) -> list[str]:
    """Return what a distribution that is installed here needs, and PyTorch's build for CPUs wherever that runs."""
    if name != "torch":
        return requires(name) or []
    [torch] = tomllib.loads((ROOT / "services" / "pyproject.toml").read_text())["tool"]["uv"]["dependency-metadata"]
    return list(torch["requires-dist"])


def needed(name: str, extras: tuple[str, ...]) -> set[str]:
    """Return the distributions that installing one with extras brings, its own among them."""
    done: set[tuple[str, str]] = set()
    waiting = [(name, extra) for extra in ("", *extras)]
    while waiting:
        item = waiting.pop()
        if item in done:
            continue
        done.add(item)
        for requirement in map(Requirement, declared(item[0])):
            if requirement.marker is None or requirement.marker.evaluate({"extra": item[1]}):
                waiting += [(canonicalize_name(requirement.name), extra) for extra in ("", *requirement.extras)]
    return {name for name, _ in done}


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_installs_exactly_what_its_extras_need(image: str) -> None:
    packages = {name for name in locked(*locks(image)) if not CUDA.fullmatch(name)}
    assert packages == needed("flstore-server", IMAGES[image]) - OURS
    extras = ",".join(IMAGES[image])
    assert f"'flstore-server[{extras}]'" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("file", [path.name for path in LOCKS.iterdir()])
def test_images_have_the_versions_that_are_tested_and_a_hash_of_each(file: str) -> None:
    tested = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    for name, (version, hashes) in locked(file).items():
        assert version.removesuffix("+cpu") == tested.get(name, version)
        assert name in tested or (file == "torch-cuda.txt" and CUDA.fullmatch(name))
        assert hashes, name


def test_only_the_build_for_gpus_brings_nvidias_packages_and_nothing_that_is_locked_already() -> None:
    cuda = locked("torch-cuda.txt")
    assert {name for name in cuda if not CUDA.fullmatch(name)} == {"torch"}
    assert cuda.keys() > {"torch", "nvidia-cublas", "nvidia-cudnn-cu13"}
    assert not cuda.keys() & locked("flstore-torch.txt").keys()
    assert not [
        name
        for image in IMAGES.keys() - {"flstore-torch-cuda"}
        for name in locked(*locks(image))
        if CUDA.fullmatch(name)
    ]


def test_our_wheels_are_built_by_what_their_projects_name() -> None:
    for folder in (ROOT, ROOT / "services"):
        wanted = tomllib.loads((folder / "pyproject.toml").read_text())["build-system"]["requires"]
        assert {Requirement(each).name for each in wanted} == set(locked("build.txt"))


@pytest.mark.timeout(400)  # reads some three thousand hashes, slowly
def test_the_bill_of_materials_names_every_package_of_the_lock_with_its_hashes(tmp_path: Path) -> None:
    make = ["make", "--silent", "--assume-old=setup", "sbom", f"BIN={Path(sys.executable).parent}", f"SBOM={tmp_path}"]
    subprocess.run(make, cwd=ROOT, check=True, capture_output=True)
    for image in IMAGES:
        bill = json.loads((tmp_path / f"{image}.cdx.json").read_text())
        assert bill["bomFormat"] == "CycloneDX"
        assert bill["metadata"]["component"]["name"] == "flstore-server"
        assert {each["name"]: (each["version"], hashes(each)) for each in bill["components"]} == locked(*locks(image))


def hashes(component: dict[str, list[dict[str, list[dict[str, str]]]]]) -> set[str]:
    return {each["content"] for reference in component["externalReferences"] for each in reference["hashes"]}
