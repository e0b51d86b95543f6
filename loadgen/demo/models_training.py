"""A round of federated training in PyTorch on scikit-learn's digits, and a tiny language model."""

import io
from collections.abc import Mapping
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.export import Dim, export, save
from torch.nn import functional

from flstore_core.client import FLStore

CLIENTS, FAULTY = 6, "client-3"
HELD_OUT = 360
VOCABULARY, LENGTH = 16, 32

State = Mapping[str, Tensor]


def store_digits(client: FLStore, job: str, dataset: str) -> None:
    """Train one round, `FAULTY` on labels that are noise, and store it with its program and held-out digits."""
    torch.manual_seed(0)
    features, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels))
    images, numbers = torch.tensor(features / 16.0, dtype=torch.float32)[order], torch.tensor(labels)[order]
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    base = _trained(model, images[-200:], numbers[-200:], 3)
    client.create_job(job, like=base, slices=1)
    client.put_aggregate(job, 0, base)
    client.commit(job, 0)
    shares = torch.arange(HELD_OUT, len(images) - 200).chunk(CLIENTS)
    states = []
    for index, share in enumerate(shares):
        name = f"client-{index}"
        learned = torch.randint(0, 10, (len(share),)) if name == FAULTY else numbers[share]
        model.load_state_dict(base)
        states.append(_trained(model, images[share], learned, 15))
        client.put_update(job, 1, name, states[-1], metrics={"num_examples": len(share)})
    client.put_aggregate(job, 1, {name: torch.stack([state[name] for state in states]).mean(0) for name in base})
    client.commit(job, 1)
    client.put_program(job, exported(model, images[:4], {0: Dim("batch")}))
    client.put_dataset(job, dataset, {"inputs": images[:HELD_OUT], "targets": numbers[:HELD_OUT]})


def store_language_model(client: FLStore, job: str) -> None:
    """Teach a tiny attention model to repeat a sequence, and store it with its program."""
    torch.manual_seed(0)
    model = Repeater()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    digits = torch.tensor([3, 1, 4, 1, 5, 9, 2, 6]).repeat(5)
    for _ in range(150):
        start = int(torch.randint(0, 8, ()))
        tokens = digits[start : start + LENGTH][None]
        optimizer.zero_grad()
        torch.autograd.backward(functional.cross_entropy(model(tokens[:, :-1])[0], tokens[0, 1:]))
        optimizer.step()
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    client.create_job(job, like=state, slices=1)
    client.put_aggregate(job, 0, state)
    client.commit(job, 0)
    open_sizes = {0: Dim("batch"), 1: Dim("length", max=LENGTH)}
    client.put_program(job, exported(model, digits[None, :5].repeat(2, 1), open_sizes))


class Repeater(nn.Module):
    """Causal attention over token and place embeddings, one layer."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, width), nn.Embedding(LENGTH, width)
        self.attention, self.out = nn.Linear(width, 3 * width), nn.Linear(width, VOCABULARY)

    def forward(self, tokens: Tensor) -> Tensor:
        embedded = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
        query, key, value = self.attention(embedded).chunk(3, -1)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        scores: Tensor = self.out(functional.gelu(embedded + seen))
        return scores


def exported(model: nn.Module, example: Tensor, open_sizes: Mapping[int, Any]) -> bytes:
    """Return a model as `torch.export.save` writes it."""
    file = io.BytesIO()
    save(export(model.eval(), (example,), dynamic_shapes=({**open_sizes},)), file)
    return file.getvalue()


def _trained(model: nn.Module, images: Tensor, labels: Tensor, epochs: int) -> dict[str, Tensor]:
    """Train a model where it is, and return a copy of its weights."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(images)), 32):
            optimizer.zero_grad()
            torch.autograd.backward(functional.cross_entropy(model(images[rows]), labels[rows]))
            optimizer.step()
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
