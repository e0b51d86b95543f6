"""Which models a workload runs, and which rounds it reads for them."""

from dataclasses import replace

import numpy as np
import pytest

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.model_names import ModelName
from flstore_core.workloads.shared.named_models import (
    OneModelParams,
    RunsOneModel,
    aggregate_names,
    rounds_of_models,
    update_names,
)
from tests.workloads.rounds import Index, make_round

INDEX = Index(committed=[1, 2], open=[5])
ROUND = make_round(np.eye(2, 3), ["a", "b"], number=2, aggregate=np.ones(3))
BARE = make_round(np.eye(2, 3), ["a", "b"], number=2)


def test_rounds_are_those_of_the_models_once_each_ascending() -> None:
    names = [ModelName.parse(text) for text in ("5:a", "1", "5:b", "artifact:abc")]
    assert rounds_of_models(names, INDEX) == [1, 5]


def test_artifacts_alone_need_no_round() -> None:
    assert rounds_of_models([ModelName.parse("artifact:abc")], INDEX) == []


def test_a_round_that_does_not_exist_is_named() -> None:
    with pytest.raises(NotFound, match="round 3 has no updates"):
        rounds_of_models([ModelName(3)], INDEX)


def test_the_model_named_or_the_newest_aggregate_is_run() -> None:
    chooser = RunsOneModel()
    assert chooser.select(OneModelParams(), INDEX) == [2]
    assert chooser.models([ROUND], OneModelParams()) == [ModelName(2)]
    assert chooser.select(OneModelParams(model="5:a"), INDEX) == [5]
    assert chooser.models([], OneModelParams(model="artifact:abc")) == [ModelName(artifact="abc")]


def test_without_an_aggregate_a_clients_model_has_to_be_named() -> None:
    with pytest.raises(NotEnoughData, match="round 2 has no aggregate; name a client's model"):
        RunsOneModel().models([BARE], OneModelParams())


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="'newest' is not usable"):
        RunsOneModel().select(OneModelParams(model="newest"), INDEX)


def test_names_of_a_rounds_models() -> None:
    assert [str(name) for name in update_names(ROUND, None)] == ["2:a", "2:b"]
    assert [str(name) for name in update_names(ROUND, ["b"])] == ["2:b"]
    assert [str(name) for name in aggregate_names(ROUND)] == ["2"]
    assert aggregate_names(replace(BARE)) == []
