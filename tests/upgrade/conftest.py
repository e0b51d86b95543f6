"""The previous release, unpacked once."""

from collections.abc import Mapping

import pytest

from tests.upgrade.previous import unpack


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment in which Python runs the previous release."""
    return unpack(tmp_path_factory.mktemp("release") / "code")
