"""Loads a program: parses its archive, binds it to PyTorch's operators, and matches it with a job's tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flstore_core.models.archive import read_archive
from flstore_core.models.devices import CPU
from flstore_core.models.executor import Executable
from flstore_core.models.matching import Sources, sources
from flstore_core.models.program import parse_program
from flstore_core.models.runnable import Runnable, input_specs
from flstore_core.models.running import Running
from flstore_core.models.weights import mixture, strided, views
from flstore_core.schema import Schema
from flstore_core.workloads import InputSpec


@dataclass(frozen=True)
class Loaded:
    """An executable with everything that does not change from model to model."""

    schema: Schema
    executable: Executable
    sources: Sources
    frozen: Mapping[str, Tensor]
    constants: Mapping[str, Tensor]

    @property
    def inputs(self) -> Sequence[InputSpec]:
        """What the program takes."""
        return input_specs(self.executable.program)

    def bind(self, parts: Sequence[tuple[float, NDArray[np.uint8]]], scale: float, running: Running) -> Runnable:
        """Return the program with a weighted sum of models; a single one of weight 1 is not copied.

        Args:
            parts: weights and data sections, uint8, shape (schema.nbytes,).
            scale: factor of low-rank adapters, if the job stores any.
        """
        data = parts[0][1] if len(parts) == 1 and parts[0][0] == 1.0 else mixture(self.schema, parts)
        weights = self.sources.weights(views(self.schema, data, self.executable.device), self.frozen, scale)
        return Runnable(self.executable, weights, self.constants, running)


def load(schema: Schema, body: Any, device: torch.device = CPU) -> Loaded:
    """Return the program of an archive.

    Args:
        body: the archive's bytes. On the processor, tensors are views of them, and are not copied.
        device: computes.

    Raises:
        InvalidProgram: if it cannot be run.
        SchemaMismatch: if its parameters are not those of the job's updates.
    """
    archive = read_archive(body)
    parsed = parse_program(archive.program)
    matched = sources(parsed, archive, schema)
    frozen = {name: strided(raw).to(device) for name, raw in matched.frozen.items()}
    constants = {name: strided(archive.constants[name]).to(device) for name in parsed.constants.values()}
    return Loaded(schema, Executable(parsed, device), matched, frozen, constants)
