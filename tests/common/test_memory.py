"""The memory limit of control groups, as the kernel lays them out, and what a cache may take of it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from flstore_core.errors import InvalidParameters
from services.common.memory import check_cache, memory_limit

GIB = 1 << 30
NO_LIMIT_V1 = "9223372036854771712\n"


def laid_out(root: Path, cgroup: str, limits: Mapping[str, str]) -> Path:
    """Write what /proc/self/cgroup says and the files under /sys/fs/cgroup."""
    for name, text in {"proc/self/cgroup": cgroup, **{f"sys/fs/cgroup/{k}": v for k, v in limits.items()}}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V1 = "9:name=systemd:/\n4:memory:/kubepods/pod7/abc\n1:cpu:/kubepods/pod7/abc\n0::/\n"


@pytest.mark.parametrize(
    ("cgroup", "limits", "expected"),
    [
        ("0::/\n", {"memory.max": "1073741824\n"}, GIB),  # a container with a view of its own
        ("0::/user.slice/run\n", {"user.slice/run/memory.max": "max\n", "user.slice/memory.max": "9000\n"}, 9000),
        ("0::/a/b\n", {"a/memory.max": "3000\n", "a/b/memory.max": "2000\n"}, 2000),
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("0::/\n", {}, None),
        (V1, {"memory/memory.limit_in_bytes": "1073741824\n"}, GIB),  # a container that sees the host's path
        (V1, {"memory/kubepods/memory.limit_in_bytes": "5000\n", "memory/memory.limit_in_bytes": NO_LIMIT_V1}, 5000),
        (V1, {"memory/memory.limit_in_bytes": NO_LIMIT_V1}, None),
    ],
)  # fmt: skip
def test_the_least_limit_on_the_way_up_counts(
    tmp_path: Path, cgroup: str, limits: Mapping[str, str], expected: int | None
) -> None:
    assert memory_limit(laid_out(tmp_path, cgroup, limits)) == expected


def test_where_the_kernel_tells_nothing_there_is_no_limit(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) is None


def test_a_cache_may_take_sixty_per_cent_and_not_a_byte_more() -> None:
    check_cache(600, 1000)
    check_cache(1 << 60, None)
    with pytest.raises(InvalidParameters, match=r"700\.0 MiB, over 60 % of the 1\.0 GiB .* use at most 644245094,"):
        check_cache(700 << 20, GIB)


def test_a_shard_in_too_small_a_group_says_so_and_does_not_serve() -> None:
    """Its limit is the reader's, made small: to make a control group takes rights that not every machine gives."""
    program = (
        "import runpy, services.common.memory as memory\n"
        "memory.memory_limit = lambda: 1 << 20\n"
        "runpy.run_module('services.shard', run_name='__main__')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "FLSTORE_CACHE_BYTES": "1MiB", "FLSTORE_PORT": "0", "FLSTORE_SERVICE_KEYS": "none"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert "FLSTORE_CACHE_BYTES is 1.0 MiB, over 60 % of the 1.0 MiB of memory" in ended.stderr
