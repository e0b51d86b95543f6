"""A round of federated learning on scikit-learn's digits, in plain PyTorch, with one client whose labels are noise."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn

from tests.models.networks import Perceptron

FAULTY = "c3"
CLIENTS = 6
State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Trained:
    """What came of a round."""

    base: State
    clients: Mapping[str, State]
    examples: Mapping[str, int]
    aggregate: State
    inputs: Tensor
    """Held-out images, shape (n, 64)."""
    targets: Tensor


@cache
def trained() -> Trained:
    """Return a trained round; every call the same."""
    torch.manual_seed(7)
    features, labels = load_digits(return_X_y=True)
    images = torch.tensor(features / 16.0, dtype=torch.float32)
    numbers = torch.tensor(labels)
    order = torch.randperm(len(images))
    images, numbers = images[order], numbers[order]
    base = Perceptron()
    _train(base, images[:200], numbers[:200], 5)
    clients, examples = {}, {}
    shares = torch.arange(200, 1400).chunk(CLIENTS)
    for index, share in enumerate(shares):
        name = f"c{index}"
        wrong = torch.randint(0, 10, (len(share),))
        model = Perceptron()
        model.load_state_dict(base.state_dict())
        _train(model, images[share], wrong if name == FAULTY else numbers[share], 20)
        clients[name] = {key: value.clone() for key, value in model.state_dict().items()}
        examples[name] = len(share) - 10 * index
    aggregate = average(clients, examples)
    return Trained({**base.state_dict()}, clients, examples, aggregate, images[1400:], numbers[1400:])


def average(clients: Mapping[str, State], examples: Mapping[str, int]) -> State:
    """Return FedAvg of some clients."""
    whole = sum(examples[name] for name in clients)
    names = next(iter(clients.values()))
    return {key: sum((clients[c][key] * (examples[c] / whole) for c in clients), torch.zeros(())) for key in names}


def loss_and_accuracy(state: State, inputs: Tensor, targets: Tensor) -> tuple[float, float]:
    """Return what a bare PyTorch evaluation says."""
    model = Perceptron()
    model.load_state_dict(dict(state))
    with torch.inference_mode():
        logits = model(inputs)
    loss = nn.functional.cross_entropy(logits.double(), targets)
    return float(loss), float((logits.argmax(1) == targets).float().mean())


def arrays(state: State) -> dict[str, NDArray[Any]]:
    """Return a state dict as NumPy arrays."""
    return {name: value.detach().numpy() for name, value in state.items()}


def _train(model: nn.Module, images: Tensor, numbers: Tensor, epochs: int) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(images)), 32):
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(model(images[rows]), numbers[rows]))
            optimizer.step()
