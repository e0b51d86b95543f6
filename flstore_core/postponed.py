"""Leaves a module out while its package is imported, until somebody asks for what is in it.

Some packages import at once what few of their users need. With `postponed("minio.minioadmin", "MinioAdmin")`,
the statement `from .minioadmin import MinioAdmin` of the package finds an empty module, and costs nothing. Behind the
block the package answers `minio.MinioAdmin`, `from minio import MinioAdmin` and `import minio.minioadmin` as ever: they
import the module then.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any


@contextmanager
def postponed(module: str, *names: str) -> Iterator[None]:
    """Postpone `module`, from which its package takes `names`, if the package is first imported in the block."""
    package, _, own_name = module.rpartition(".")
    if package in sys.modules:
        yield
        return
    stand_in = ModuleType(module)
    vars(stand_in).update(dict.fromkeys(names))
    sys.modules[module] = stand_in
    try:
        yield
    finally:
        del sys.modules[module]
        if imported := sys.modules.get(package):
            _look_up_later(imported, module, names, own_name)


def _look_up_later(package: ModuleType, module: str, names: tuple[str, ...], own_name: str) -> None:
    """Have `package` import `module` when one of `names`, or the module itself, is first asked for."""
    for name in names:
        vars(package).pop(name, None)

    def look_up(name: str) -> Any:
        if name != own_name and name not in names:
            raise AttributeError(f"module {package.__name__!r} has no attribute {name!r}")
        found = import_module(module)
        vars(package).update({each: getattr(found, each) for each in names})
        return getattr(package, name)

    vars(package)["__getattr__"] = look_up
