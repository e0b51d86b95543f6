"""Greedy generation from a causal language model that was exported with the job, stored LoRA adapters applied.

The program takes token numbers, int64 of shape (batch, length), and returns logits, (batch, length, vocabulary). Where
the job's models are low-rank adapters (Hu et al. 2022, ICLR), they are merged into the program's frozen weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le, MaxLen, MinLen
from numpy.typing import NDArray

from flstore_core.errors import InvalidParameters
from flstore_core.workloads import Context, ModelAccess, Needs, Partial, Pattern, Result, RunnableModel
from flstore_core.workloads.shared.named_models import OneModelParams, RunsOneModel

Tokens = NDArray[np.int64]
Token = Annotated[int, Ge(0), Le(2**31 - 1)]


@dataclass(frozen=True, kw_only=True)
class LLMInferenceParams(OneModelParams):
    """What is to be continued, and how far."""

    prompts: Annotated[list[Annotated[list[Token], MinLen(1), MaxLen(32_768)]], MinLen(1), MaxLen(256)]
    """Token numbers of each prompt."""
    max_new_tokens: Annotated[int, Ge(1), Le(4_096)] = 16
    """Most tokens added to each prompt."""
    stop_token: Token | None = None
    """A prompt is complete once this token has been added."""
    window: Annotated[int, Ge(1), Le(32_768)] | None = None
    """The model sees this many of the last tokens; all by default, or as many as it was exported for."""


@dataclass(frozen=True)
class Continuation(Result):
    """What one prompt was continued with."""

    tokens: list[int]
    """The new tokens."""
    log_probability: float
    """Sum of their natural log probabilities."""
    stopped: bool
    """Whether the stop token ended it."""


@dataclass(frozen=True)
class LLMInferenceResult(Result):
    """What the prompts were continued with."""

    model: str
    """The model that answered."""
    continuations: list[Continuation]
    """In the order of the prompts."""


class LLMInference(RunsOneModel):
    """Greedy generation from a causal language model exported with the job, with stored LoRA adapters applied."""

    name = "llm-inference"
    pattern = Pattern.P1
    needs = Needs.MODEL
    source = "Hu et al. 2022, LoRA: Low-Rank Adaptation of Large Language Models, ICLR"
    params = LLMInferenceParams
    result = LLMInferenceResult

    def datasets(self, params: LLMInferenceParams) -> Sequence[str]:
        return []

    def run(self, access: ModelAccess, params: LLMInferenceParams) -> Partial:
        (name,) = access.models
        if len(access.inputs) != 1 or access.inputs[0].dtype.kind != "i" or len(access.inputs[0].shape) != 2:
            raise InvalidParameters("the program takes no tokens: whole numbers of shape (batch, length)")
        model = access.model(name, params.scale)
        reader = Reader(model, access.inputs[0].shape[1], params.window)
        tokens = np.full((len(params.prompts), params.max_new_tokens), -1, np.int64)
        likely = np.zeros(len(params.prompts))
        groups = list(_of_one_length(params.prompts))
        for done, rows in enumerate(groups):
            access.progress(done, len(groups))
            prompts = np.array([params.prompts[row] for row in rows], np.int64)
            tokens[rows], likely[rows] = generate(reader, prompts, params.max_new_tokens, params.stop_token)
        return {"tokens": tokens, "log_probability": likely}

    def combine(self, partials: Sequence[Partial], context: Context, params: LLMInferenceParams) -> LLMInferenceResult:
        (partial,) = partials
        rows = zip(partial["tokens"].tolist(), partial["log_probability"].tolist(), strict=True)
        return LLMInferenceResult(
            str(context.models[0]), [_continuation(tokens, likely, params.stop_token) for tokens, likely in rows]
        )


@dataclass(frozen=True)
class Reader:
    """Asks the model for the next token."""

    model: RunnableModel
    length: int | None
    """Tokens that the program was exported for; None for any number."""
    window: int | None

    def next_logits(self, tokens: Tokens) -> NDArray[np.float64]:
        """Return the logits after the last token, shape (batch, vocabulary)."""
        most = min(each for each in (self.window, self.length, tokens.shape[1]) if each is not None)
        seen = tokens[:, tokens.shape[1] - most :]
        if self.length is not None:  # What follows does not change a causal model's answer here.
            seen = np.pad(seen, ((0, 0), (0, self.length - most)))
        logits = self.model(seen)[0]
        if logits.ndim != 3:
            raise InvalidParameters(f"the program returned {list(logits.shape)}; not (batch, length, vocabulary)")
        return np.asarray(logits[:, most - 1], np.float64)


def generate(reader: Reader, prompts: Tokens, count: int, stop_token: int | None) -> tuple[Tokens, NDArray[np.float64]]:
    """Return the likeliest next tokens, one at a time, -1 after the stop token; and their summed log probabilities.

    Args:
        prompts: shape (batch, length).
    """
    batch = len(prompts)
    tokens, added = prompts, np.full((batch, count), -1, np.int64)
    likely, going = np.zeros(batch), np.ones(batch, bool)
    for step in range(count):
        logits = reader.next_logits(tokens)
        best = logits.argmax(1)
        peak = logits.max(1)
        likely -= np.where(going, np.log(np.exp(logits - peak[:, None]).sum(1)), 0.0)
        added[going, step] = best[going]
        going &= best != stop_token
        tokens = np.concatenate([tokens, best[:, None]], axis=1)
        if not going.any():
            break
    return added, likely


def _of_one_length(prompts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield the rows of prompts that are as long as each other: they run as one batch."""
    for length in sorted({len(prompt) for prompt in prompts}):
        yield [row for row, prompt in enumerate(prompts) if len(prompt) == length]


def _continuation(tokens: list[Any], likely: float, stop_token: int | None) -> Continuation:
    added = [token for token in tokens if token >= 0]
    return Continuation(added, likely, bool(added) and added[-1] == stop_token)
