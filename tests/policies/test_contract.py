"""Every policy in the registry keeps every law of the contract."""

import pytest

from flstore_core.policies import policy_names
from flstore_core.policies.registry import BELADY
from tests.policies.contract import LAWS, OFFLINE_LAWS, Law


@pytest.mark.parametrize("name", policy_names())
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_an_online_policy(law: Law, name: str) -> None:
    law(name)


@pytest.mark.parametrize("law", OFFLINE_LAWS, ids=lambda law: law.__name__)
def test_the_offline_reference(law: Law) -> None:
    law(BELADY)
