"""A module that is left out of its package's import is there as soon as somebody asks for it."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from flstore_core.postponed import postponed


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a package that takes a name out of a module of its own; return the package's name."""
    folder = tmp_path / "thrifty"
    folder.mkdir()
    (folder / "__init__.py").write_text("from .costly import Admin as Admin\nlight = 1\n")
    (folder / "costly.py").write_text("class Admin: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("thrifty", "thrifty.costly"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "thrifty"


def test_the_module_is_imported_when_what_it_defines_is_asked_for(package: str) -> None:
    with postponed("thrifty.costly", "Admin"):
        imported = import_module(package)
    assert imported.light == 1
    assert "thrifty.costly" not in sys.modules
    assert imported.Admin is import_module("thrifty.costly").Admin
    assert imported.Admin is imported.costly.Admin


def test_the_module_itself_may_be_asked_for(package: str) -> None:
    with postponed("thrifty.costly", "Admin"):
        imported = import_module(package)
    assert imported.costly.Admin is imported.Admin


def test_what_the_package_does_not_have_is_missing_as_ever(package: str) -> None:
    with postponed("thrifty.costly", "Admin"):
        imported = import_module(package)
    with pytest.raises(AttributeError, match="module 'thrifty' has no attribute 'other'"):
        imported.other  # noqa: B018 - asking is what is tested


def test_a_package_that_was_imported_before_stays_as_it_is(package: str) -> None:
    whole = import_module(package)
    with postponed("thrifty.costly", "Admin"):
        pass
    assert "__getattr__" not in vars(whole)
    assert whole.Admin.__module__ == "thrifty.costly"


def test_a_package_that_cannot_be_imported_leaves_nothing_behind(package: str) -> None:
    with pytest.raises(ModuleNotFoundError), postponed("missing_thing.costly", "Admin"):
        import_module("missing_thing")
    assert "missing_thing.costly" not in sys.modules


def test_opening_a_bucket_imports_no_cipher_and_the_sdk_is_whole_for_others() -> None:
    program = """
import sys
import flstore_core.storage.s3
print(*{"Crypto", "argon2", "cffi", "pycparser", "minio.minioadmin"} & sys.modules.keys())
from minio import MinioAdmin
import minio.minioadmin
assert MinioAdmin is minio.minioadmin.MinioAdmin is minio.MinioAdmin
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
