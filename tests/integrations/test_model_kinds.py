"""Models of PyTorch, of `peft` and of scikit-learn, trained and recorded through Flower's own strategies."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from torch import nn

from flstore_core.integrations.flower import attach
from tests.integrations.door import PATIENT, Door
from tests.integrations.flowers import FakeGrid

DIGITS, LABELS = load_digits(return_X_y=True)


def replying(train: Callable[[ArrayRecord], ArrayRecord], name: str) -> Callable[[Message], RecordDict]:
    """Return a client that answers what `train` makes of the global model."""

    def answer(message: Message) -> RecordDict:
        metrics = MetricRecord({"num-examples": 10, "train_loss": 0.5})
        content = RecordDict({"arrays": train(message.content.array_records["arrays"]), "metrics": metrics})
        content["flstore"] = ConfigRecord({"flstore-client": name})
        return content

    return answer


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10))


def learn(arrays: ArrayRecord, part: slice) -> ArrayRecord:
    """Train a network for one step in each of three batches."""
    model = network()
    model.load_state_dict({name: torch.from_numpy(array.numpy().copy()) for name, array in arrays.items()})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs, labels = torch.from_numpy(DIGITS[part]).float() / 16, torch.from_numpy(LABELS[part])
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return ArrayRecord(model.state_dict())


def test_batchnorms_counter_is_an_integer_in_every_aggregate(behind: Door) -> None:
    parts = [slice(100 * number, 100 * number + 50) for number in range(3)]
    clients = {
        number: replying(lambda arrays, part=part: learn(arrays, part), f"c{number}")  # type: ignore[misc]
        for number, part in enumerate(parts, start=1)
    }
    strategy = attach(FedAvg(fraction_evaluate=0.0), behind.store, limits=PATIENT)
    strategy.start(FakeGrid(clients), ArrayRecord(network().state_dict()), num_rounds=2)
    aggregate = behind.store.get_aggregate("flower", 2)
    assert aggregate["1.num_batches_tracked"].dtype == np.int64
    assert int(aggregate["1.num_batches_tracked"]) == 6
    network().load_state_dict({name: torch.tensor(array) for name, array in aggregate.items()})


def adapter(rank: int, seed: int = 0) -> dict[str, Any]:
    """Return a LoRA adapter of one layer, named as by `peft.get_peft_model_state_dict`."""
    torch.manual_seed(seed)
    layer = "base_model.model.model.layers.0.self_attn.q_proj"
    return {f"{layer}.lora_A.weight": torch.randn(rank, 16), f"{layer}.lora_B.weight": torch.randn(12, rank)}


class ByProduct(FedAvg):
    """Averages adapters of several ranks, padded to the highest: what users of such clients write themselves."""

    def aggregate_train(self, server_round: int, replies: Any) -> Any:
        padded = []
        for reply in replies:
            arrays = {name: array.numpy() for name, array in reply.content["arrays"].items()}
            a, b = (arrays[name] for name in sorted(arrays))
            padded.append((np.pad(a, ((0, 8 - len(a)), (0, 0))), np.pad(b, ((0, 0), (0, 8 - b.shape[1])))))
        means = [np.mean(factors, axis=0) for factors in zip(*padded, strict=True)]
        return ArrayRecord(dict(zip(sorted(arrays), map(_array, means), strict=True))), MetricRecord()


def _array(array: Any) -> Any:
    return next(iter(ArrayRecord([array]).values()))


def test_adapters_of_several_ranks_are_recorded_in_the_jobs_rank(behind: Door) -> None:
    ranks = {1: 2, 2: 4, 3: 8}
    clients = {
        node: replying(lambda arrays, node=node, rank=rank: ArrayRecord(adapter(rank, node)), f"rank-{rank}")  # type: ignore[misc]
        for node, rank in ranks.items()
    }
    strategy = attach(ByProduct(fraction_evaluate=0.0), behind.store, limits=PATIENT)
    strategy.start(FakeGrid(clients), ArrayRecord(adapter(8)), num_rounds=1)
    sent, stored = adapter(2, 1), behind.store.get_update("flower", 1, "rank-2")
    a, b = sorted(sent)
    assert (stored[a].shape, stored[b].shape) == ((8, 16), (12, 8))
    assert np.allclose(stored[b] @ stored[a], sent[b].numpy() @ sent[a].numpy(), atol=1e-5)
    assert len(behind.store.round("flower", 1).members) == 3
    assert behind.store.run("flower", "cosine-similarity", round=1).result.raw


def test_training_in_bfloat16_is_recorded_as_it_is(behind: Door) -> None:
    model = network().to(torch.bfloat16)
    recorder = behind.recorder()
    recorder.begin(model.state_dict())
    for number in range(3):
        recorder.update(1, f"c{number}", {name: 2 * tensor for name, tensor in model.state_dict().items()})
    recorder.close(1, {name: tensor.float().numpy() for name, tensor in model.state_dict().items()})
    report = recorder.finish()
    assert report.is_whole, report.line()
    dtypes = {spec["name"]: spec["dtype"] for spec in behind.store.job("j").schema}
    assert (dtypes["0.weight"], dtypes["1.num_batches_tracked"]) == ("BF16", "I64")
    assert np.array_equal(behind.store.get_aggregate("j", 1)["3.bias"], model.state_dict()["3.bias"].float().numpy())


def test_a_linear_model_of_scikit_learn_is_recorded(behind: Door) -> None:
    def fit(arrays: ArrayRecord, part: slice) -> ArrayRecord:
        model = SGDClassifier(random_state=0).partial_fit(DIGITS[part], LABELS[part], classes=np.arange(10))
        model.coef_, model.intercept_ = (array.copy() for array in arrays.to_numpy_ndarrays())
        model.partial_fit(DIGITS[part], LABELS[part])
        return ArrayRecord([model.coef_, model.intercept_])

    clients = {
        number: replying(lambda arrays, n=number: fit(arrays, slice(300 * n, 300 * n + 300)), f"c{number}")  # type: ignore[misc]
        for number in (1, 2, 3)
    }
    strategy = attach(FedAvg(fraction_evaluate=0.0), behind.store, limits=PATIENT)
    result = strategy.start(FakeGrid(clients), ArrayRecord([np.zeros((10, 64)), np.zeros(10)]), num_rounds=2)
    assert np.array_equal(behind.store.get_aggregate("flower", 2)["0"], result.arrays["0"].numpy())
    assert behind.store.get_update("flower", 2, "c3")["1"].dtype == np.float64
