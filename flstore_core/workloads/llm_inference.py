"""Text generation by a causal language model that was exported with the job, with stored LoRA adapters applied.

The program takes token numbers, int64 of shape (batch, length), and returns logits, (batch, length, vocabulary).
Decoding is greedy: the token with the greatest logit after the last token is appended, and the model runs again on the
longer text. If 1 is the likeliest token after 0, 2 after 1, 3 after 2 and 4 after 3, then the prompt [0] is continued
by 1, 2, 3 and 4, and ends there if 4 is the stop token. If the job stores low-rank adapters (Hu et al. 2022, ICLR),
they are merged into the program's frozen weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

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
    """Which prompts are continued, and how far."""

    prompts: Annotated[list[Annotated[list[Token], MinLen(1), MaxLen(32_768)]], MinLen(1), MaxLen(256)]
    """Token numbers of each prompt."""
    max_new_tokens: Annotated[int, Ge(1), Le(4_096)] = 16
    """Greatest number of tokens to generate for each prompt."""
    stop_token: Token | None = None
    """Token that ends a continuation; it is part of the continuation."""
    window: Annotated[int, Ge(1), Le(32_768)] | None = None
    """Number of last tokens that the model sees; by default all, or as many as the program was exported for."""


@dataclass(frozen=True)
class Continuation(Result):
    """The continuation of one prompt."""

    tokens: list[int]
    """The generated tokens."""
    log_probability: float
    """Sum of the natural logarithms of their probabilities."""
    stopped: bool
    """Whether the stop token ended the continuation."""


@dataclass(frozen=True)
class LLMInferenceResult(Result):
    """The continuations of the prompts."""

    model: str
    """Name of the model that was run."""
    continuations: list[Continuation]
    """One continuation for each prompt, in the order of the prompts."""


class LLMInference(RunsOneModel):
    """Text generation by a causal language model exported with the job, with stored LoRA adapters applied."""

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
            raise InvalidParameters(
                "the program takes no tokens: its one input must hold whole numbers, of shape (batch, length)"
            )
        reader = Reader(access.model(name, params.scale), access.inputs[0].shape[1], params.window)
        tokens = np.full((len(params.prompts), params.max_new_tokens), -1, np.int64)
        log_probability = np.zeros(len(params.prompts))
        batches = _of_one_length(params.prompts)
        for done, rows in enumerate(batches):
            access.progress(done, len(batches))
            prompts = np.array([params.prompts[row] for row in rows], np.int64)
            tokens[rows], log_probability[rows] = generate(reader, prompts, params.max_new_tokens, params.stop_token)
        return {"tokens": tokens, "log_probability": log_probability}

    def combine(self, partials: Sequence[Partial], context: Context, params: LLMInferenceParams) -> LLMInferenceResult:
        (partial,) = partials
        rows = zip(partial["tokens"].tolist(), partial["log_probability"].tolist(), strict=True)
        return LLMInferenceResult(
            str(context.models[0]), [_continuation(*row, stop_token=params.stop_token) for row in rows]
        )


@dataclass(frozen=True)
class Reader:
    """Runs the model to get the logits of the next token."""

    model: RunnableModel
    length: int | None
    """Number of tokens that the program was exported for; None for any number."""
    window: int | None
    """Number of last tokens that the model sees; None for all."""

    def next_logits(self, tokens: Tokens) -> NDArray[np.float64]:
        """Return the logits after the last token, shape (batch, vocabulary).

        Raises:
            InvalidParameters: if the program's output has not the shape of logits, or they are not finite.
        """
        count = min(limit for limit in (self.window, self.length, tokens.shape[1]) if limit is not None)
        seen = tokens[:, tokens.shape[1] - count :]
        if self.length is not None:  # A causal model's answer at a token does not depend on the padding after it.
            seen = np.pad(seen, ((0, 0), (0, self.length - count)))
        logits = self.model(seen)[0]
        if logits.ndim != 3:
            raise InvalidParameters(f"the program returned shape {list(logits.shape)}; not (batch, length, vocabulary)")
        last = np.asarray(logits[:, count - 1], np.float64)
        if not np.isfinite(last.max(axis=1)).all():  # -inf is a token that is ruled out; not all of them can be
            raise InvalidParameters("the model's logits are not finite, as of a model that diverged; ask another model")
        return last


def generate(reader: Reader, prompts: Tokens, count: int, stop_token: int | None) -> tuple[Tokens, NDArray[np.float64]]:
    """Return the tokens generated for each prompt, and the sums of their log probabilities.

    Args:
        reader: gives the logits of the next token.
        prompts: shape (batch, length).
        count: tokens to generate; after the stop token come -1.
        stop_token: ends a continuation.

    Returns:
        Tokens, int64, shape (batch, count), and log probabilities, float64, shape (batch,).
    """
    batch = len(prompts)
    text, generated = prompts, np.full((batch, count), -1, np.int64)
    log_probability, going = np.zeros(batch), np.ones(batch, bool)
    for step in range(count):
        logits = reader.next_logits(text)
        best, greatest = logits.argmax(axis=1), logits.max(axis=1)
        log_probability -= np.where(going, np.log(np.exp(logits - greatest[:, None]).sum(axis=1)), 0.0)
        generated[going, step] = best[going]
        going &= best != stop_token  # after its token is noted: the stop token is part of the continuation
        text = np.concatenate([text, best[:, None]], axis=1)
        if not going.any():
            break
    return generated, log_probability


def _of_one_length(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the rows of prompts grouped by length: prompts of one length run as one batch."""
    rows: dict[int, list[int]] = {}
    for row, prompt in enumerate(prompts):
        rows.setdefault(len(prompt), []).append(row)
    return [rows[length] for length in sorted(rows)]


def _continuation(generated: Sequence[int], log_probability: float, *, stop_token: int | None) -> Continuation:
    tokens = [token for token in generated if token >= 0]
    return Continuation(tokens, log_probability, bool(tokens) and tokens[-1] == stop_token)
