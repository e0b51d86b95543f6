"""Networks of the kinds that federated learning trains, small, and how to export them."""

import io
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Perceptron(nn.Module):
    """Two linear layers."""

    def __init__(self, features: int = 64, hidden: int = 32, classes: int = 10) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, hidden)
        self.out = nn.Linear(hidden, classes)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.out(torch.relu(self.hidden(images)))
        return found


class Residual(nn.Module):
    """A ResNet's basic block, with ReLU in place."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.short = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, images: Tensor) -> Tensor:
        found = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(images)))))
        found += self.short(images)
        answer: Tensor = self.relu(found)
        return answer


class ResNet(nn.Module):
    """A small ResNet over 3-channel images."""

    def __init__(self, widths: tuple[int, ...] = (8, 16), classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(True)
        )
        pairs = zip((widths[0], *widths), widths, strict=False)
        self.blocks = nn.Sequential(*(Residual(a, b, 2) for a, b in pairs))
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        pooled = functional.adaptive_avg_pool2d(self.blocks(self.stem(images)), 1)
        found: Tensor = self.head(torch.flatten(pooled, 1))
        return found


class Mobile(nn.Module):
    """Depthwise convolution, squeeze and excitation, hard activations, dropout: as in MobileNetV3."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(3, 16, 1), nn.BatchNorm2d(16), nn.Hardswish(inplace=True))
        self.deep = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.BatchNorm2d(16), nn.SiLU(inplace=True))
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 4, 1), nn.ReLU(), nn.Conv2d(4, 16, 1))
        self.head = nn.Sequential(nn.Dropout(0.2, inplace=True), nn.Linear(16, 10))

    def forward(self, images: Tensor) -> Tensor:
        found = self.deep(self.expand(images))
        found = found * functional.hardsigmoid(self.squeeze(found))
        answer: Tensor = self.head(found.mean([2, 3]))
        return answer


class ShiftedWindows(nn.Module):
    """Rolled windows, cosine attention with a clamped scale and a table of relative positions: Swin V2's parts."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 16, 2, 2)
        self.qkv = nn.Linear(16, 48)
        self.scale = nn.Parameter(torch.zeros(2, 1, 1))
        self.table = nn.Parameter(torch.randn(9, 2))
        self.index = nn.Buffer(torch.randint(0, 9, (4, 4)))
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        grid = torch.roll(self.embed(images).permute(0, 2, 3, 1), (-1, -1), (1, 2))
        batch, height, width, _ = grid.shape
        windows = grid.view(batch, height // 2, 2, width // 2, 2, 16).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, 16)
        query, key, value = self.qkv(windows).reshape(-1, 4, 3, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
        close = functional.normalize(query, dim=-1) @ functional.normalize(key, dim=-1).transpose(-2, -1)
        close = close * torch.clamp(self.scale, max=4.6).exp() + self.table[self.index].permute(2, 0, 1).unsqueeze(0)
        found = (close.softmax(-1) @ value).transpose(1, 2).reshape(batch, -1, 16)
        answer: Tensor = self.head(self.norm(found).mean(1))
        return answer


class Causal(nn.Module):
    """A small causal language model whose output layer is tied to its embedding."""

    def __init__(self, vocabulary: int = 64, width: int = 32, layers: int = 2, longest: int = 64) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(longest, width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 64, 0.0, "gelu", batch_first=True) for _ in range(layers)
        )
        self.out = nn.Linear(width, vocabulary, bias=False)
        self.out.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        mask = torch.triu(torch.full((length, length), float("-inf")), diagonal=1)
        found = self.tokens(tokens) + self.places(torch.arange(length))
        for block in self.blocks:
            found = block(found, src_mask=mask, is_causal=True)
        answer: Tensor = self.out(found)
        return answer


class Recurrent(nn.Module):
    """An LSTM over sequences of features."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 16, batch_first=True)
        self.head = nn.Linear(16, 10)

    def forward(self, series: Tensor) -> Tensor:
        found, _ = self.lstm(series)
        answer: Tensor = self.head(found[:, -1])
        return answer


def exported(module: nn.Module, *inputs: Tensor, dynamic: Mapping[int, Any] | None = None) -> bytes:
    """Return a module as `torch.export.save` writes it; the first input's `dynamic` dimensions are left open."""
    shapes = tuple({**(dynamic or {0: torch.export.Dim("batch")})} if i == 0 else {} for i, _ in enumerate(inputs))
    program = torch.export.export(module.eval(), inputs, dynamic_shapes=shapes if dynamic != {} else None)
    file = io.BytesIO()
    torch.export.save(program, file)
    return file.getvalue()
