"""Greedy generation against a plain PyTorch loop: whole models, and LoRA adapters over frozen weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from torch import Tensor, nn
from torch.export import Dim

from flstore_core.errors import InvalidParameters
from flstore_core.workloads import InputSpec
from flstore_core.workloads.llm_inference import LLMInference
from tests.fakes.models import bigram, linear
from tests.models.fixtures import ask, job_of, plain, put_round
from tests.models.networks import Causal, exported
from tests.running.jobs import JobOverHttp, problem
from tests.running.processes import System
from tests.workloads.running import FLOATS, running_job
from tests.workloads.stored import Stored

PROMPTS = [[1, 2, 3], [5], [9, 8, 7], [4, 4, 4, 4, 4]]
OPEN = {0: Dim("batch"), 1: Dim("length", max=64)}
RANK, ALPHA = 2, 8.0


def greedy(model: nn.Module, prompts: Sequence[Sequence[int]], count: int) -> list[tuple[list[int], float]]:
    found = []
    for prompt in prompts:
        tokens, likely = list(prompt), 0.0
        for _ in range(count):
            with torch.no_grad():
                scores = model(torch.tensor([tokens]))[0, -1].double().log_softmax(0)
            tokens.append(int(scores.argmax()))
            likely += float(scores.max())
        found.append((tokens[len(prompt) :], likely))
    return found


@pytest.fixture(scope="module")
def causal() -> Causal:
    torch.manual_seed(3)
    return Causal().eval()


@pytest.fixture(scope="module")
def language_job(predicting: System, causal: Causal) -> JobOverHttp:
    """A job that stores whole language models."""
    job = job_of(predicting.http, plain(causal))
    put_round(job, 0, {}, plain(causal))
    answer = job.http.put(
        f"{job.url}/model", content=exported(causal, torch.ones(2, 5, dtype=torch.int64), dynamic=OPEN)
    )
    assert answer.status_code == 201, answer.text
    return job


def test_tokens_are_those_of_a_plain_loop(language_job: JobOverHttp, causal: Causal) -> None:
    answer = ask(language_job, "llm-inference", prompts=PROMPTS, max_new_tokens=8)
    for continuation, (tokens, likely) in zip(answer["continuations"], greedy(causal, PROMPTS, 8), strict=True):
        assert continuation["tokens"] == tokens
        assert continuation["log_probability"] == pytest.approx(likely, rel=1e-4)
        assert not continuation["stopped"]


def test_a_stop_token_ends_a_prompt_and_no_other(language_job: JobOverHttp, causal: Causal) -> None:
    whole = [tokens for tokens, _ in greedy(causal, PROMPTS, 8)]
    stop = whole[0][2]
    found = ask(language_job, "llm-inference", prompts=PROMPTS, max_new_tokens=8, stop_token=stop)
    for continuation, tokens in zip(found["continuations"], whole, strict=True):
        ends = tokens.index(stop) + 1 if stop in tokens else len(tokens)
        assert continuation["tokens"] == tokens[:ends]
        assert continuation["stopped"] == (stop in tokens)


def test_a_window_shows_the_model_the_last_tokens_only(language_job: JobOverHttp, causal: Causal) -> None:
    (found,) = ask(language_job, "llm-inference", prompts=[[9, 9, 1, 2, 3]], max_new_tokens=1, window=3)[
        "continuations"
    ]
    assert found["tokens"] == greedy(causal, [[1, 2, 3]], 1)[0][0]


def test_a_program_of_fixed_length_generates_the_same(predicting: System, causal: Causal) -> None:
    job = job_of(predicting.http, plain(causal))
    put_round(job, 0, {}, plain(causal))
    program = exported(causal, torch.ones(2, 16, dtype=torch.int64), dynamic={})
    assert job.http.put(f"{job.url}/model", content=program).status_code == 201
    found = ask(job, "llm-inference", prompts=PROMPTS, max_new_tokens=6)["continuations"]
    assert [each["tokens"] for each in found] == [tokens for tokens, _ in greedy(causal, PROMPTS, 6)]


def adapter(causal: Causal, seed: int) -> Mapping[str, Tensor]:
    """Return LoRA factors for both feed-forward layers, named as PEFT names them."""
    maker = torch.Generator().manual_seed(seed)
    factors = {}
    for block in range(2):
        for layer in ("linear1", "linear2"):
            stem = f"base_model.model.blocks.{block}.{layer}"
            rows, columns = causal.state_dict()[f"blocks.{block}.{layer}.weight"].shape
            factors[f"{stem}.lora_A.weight"] = torch.randn(RANK, columns, generator=maker)
            factors[f"{stem}.lora_B.weight"] = torch.randn(rows, RANK, generator=maker)
    return factors


def with_adapter(causal: Causal, factors: Mapping[str, Tensor]) -> Causal:
    merged = Causal().eval()
    merged.load_state_dict(causal.state_dict())
    state = merged.state_dict()
    for name in factors:
        if name.endswith("lora_A.weight"):
            stem = name.removesuffix(".lora_A.weight")
            update = factors[f"{stem}.lora_B.weight"] @ factors[name]
            state[stem.removeprefix("base_model.model.") + ".weight"] += ALPHA / RANK * update
    return merged


def test_stored_adapters_are_merged_into_the_frozen_weights(predicting: System, causal: Causal) -> None:
    adapters = {f"c{seed}": adapter(causal, seed) for seed in range(2)}
    mean = {name: (adapters["c0"][name] + adapters["c1"][name]) / 2 for name in adapters["c0"]}
    job = job_of(predicting.http, mean)
    put_round(job, 0, adapters, mean)
    program = exported(causal, torch.ones(2, 5, dtype=torch.int64), dynamic=OPEN)
    stored = job.http.put(f"{job.url}/model", content=program)
    assert stored.status_code == 201, stored.text
    assert stored.json()["adapted"] == 4
    expected = {name: greedy(with_adapter(causal, factors), PROMPTS, 6) for name, factors in adapters.items()}
    assert expected["c0"] != expected["c1"]
    for name, wanted in expected.items():
        found = ask(job, "llm-inference", prompts=PROMPTS, max_new_tokens=6, model=f"0:{name}", scale=ALPHA / RANK)[
            "continuations"
        ]
        assert [each["tokens"] for each in found] == [tokens for tokens, _ in wanted]
    bare = ask(job, "llm-inference", prompts=PROMPTS, max_new_tokens=6, model="0", scale=0.0)["continuations"]
    assert [each["tokens"] for each in bare] == [tokens for tokens, _ in greedy(causal, PROMPTS, 6)]


def test_a_program_that_takes_no_tokens_is_told(digits_job: JobOverHttp) -> None:
    answer = digits_job.run("llm-inference", prompts=[[1]])
    assert "tokens" in problem(answer, 422, "invalid-parameters")["detail"]


def test_a_token_beyond_the_vocabulary_is_told(language_job: JobOverHttp) -> None:
    answer = language_job.run("llm-inference", prompts=[[64]])
    assert "embedding" in problem(answer, 422, "invalid-program")["detail"]


ASKED = LLMInference()
VOCABULARY = 5


def tokens_of(length: int | None) -> InputSpec:
    return InputSpec("tokens", np.dtype(np.int64), (None, length))


def bigrams(logits: Any, length: int | None = None) -> Stored:
    """Return a job whose aggregate is a model that knows which token follows which."""
    table = np.asarray(logits, np.float32)
    return running_job(
        bigram(len(table)), {"c": np.zeros(table.size)}, aggregate=table.ravel(), inputs=[tokens_of(length)]
    )


def followed(table: Any, prompt: Sequence[int], count: int, stop: int | None) -> tuple[list[int], float]:
    """Return what greedy decoding appends, and its log probability, by a plain loop with SciPy."""
    scores = log_softmax(np.asarray(table, np.float32).astype(np.float64), axis=1)
    text, total = list(prompt), 0.0
    for _ in range(count):
        following = int(scores[text[-1]].argmax())
        total += float(scores[text[-1]][following])
        text.append(following)
        if following == stop:
            break
    return text[len(prompt) :], total


@given(
    seed=st.integers(0, 10**6),
    prompts=st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=4), min_size=1, max_size=5),
    count=st.integers(1, 6),
    stop=st.none() | st.integers(0, VOCABULARY - 1),
    length=st.sampled_from([None, 1, 3, 16]),
)
@settings(max_examples=40, deadline=None)
def test_continuations_are_those_of_a_plain_loop(
    seed: int, prompts: list[list[int]], count: int, stop: int | None, length: int | None
) -> None:
    table = np.random.default_rng(seed).standard_normal((VOCABULARY, VOCABULARY))
    answer = bigrams(table, length).ask(ASKED, prompts=prompts, max_new_tokens=count, stop_token=stop)
    assert answer.model == "1"
    for prompt, continuation in zip(prompts, answer.continuations, strict=True):
        expected, log_probability = followed(table, prompt, count, stop)
        assert continuation.tokens == expected
        assert continuation.log_probability == pytest.approx(log_probability, rel=1e-6)
        assert continuation.stopped == (expected[-1] == stop)


def test_a_model_sees_no_more_than_the_window_or_its_own_length() -> None:
    seen: list[Any] = []

    def network(vector: Any, inputs: Sequence[Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
        seen.append(inputs[0].tolist())
        return [np.zeros((*inputs[0].shape, VOCABULARY))], {}

    for length, window, expected in [
        (None, None, [1, 2, 3]),
        (None, 2, [2, 3]),
        (2, None, [2, 3]),
        (5, 2, [2, 3, 0, 0, 0]),
    ]:
        job = running_job(network, {"c": [0]}, inputs=[tokens_of(length)])
        job.ask(ASKED, prompts=[[1, 2, 3]], max_new_tokens=1, window=window, model="1:c")
        assert seen[-1] == [expected]


def test_prompts_of_one_length_run_together_and_a_batch_ends_when_all_have_stopped() -> None:
    table = np.eye(VOCABULARY)[[1, 2, 3, 4, 4]]
    job = bigrams(table)
    answer = job.ask(ASKED, prompts=[[0], [3], [1, 2]], max_new_tokens=9, stop_token=4, scale=0.5)
    assert [each.tokens for each in answer.continuations] == [[1, 2, 3, 4], [4], [3, 4]]
    assert job.access is not None
    assert job.access.steps == [(0, 2), (1, 2)]
    assert job.access.scales == [0.5]


def test_tokens_that_the_model_rules_out_are_never_generated() -> None:
    table = np.full((3, 3), -np.inf)
    table[:, 1] = 0.0
    (continuation,) = bigrams(table).ask(ASKED, prompts=[[0]], max_new_tokens=3).continuations
    assert (continuation.tokens, continuation.log_probability) == ([1, 1, 1], 0.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_of_a_model_that_diverged_are_refused(value: float) -> None:
    with pytest.raises(InvalidParameters, match="the model's logits are not finite"):
        bigrams(np.full((2, 2), value)).ask(ASKED, prompts=[[0]])


@pytest.mark.parametrize(
    "inputs", [[FLOATS], [tokens_of(4), tokens_of(4)], [InputSpec("x", np.dtype(np.int64), (None,))]]
)
def test_a_program_that_takes_anything_but_tokens_is_refused(inputs: list[InputSpec]) -> None:
    job = running_job(linear(2, 1), {"c": [1, 1]}, aggregate=[1, 1], inputs=inputs)
    with pytest.raises(InvalidParameters, match="the program takes no tokens: its one input must hold whole numbers"):
        job.ask(ASKED, prompts=[[1]])


def test_a_program_that_returns_anything_but_logits_is_refused() -> None:
    job = running_job(lambda vector, inputs: ([np.zeros((1, 7))], {}), {"c": [0]}, inputs=[tokens_of(None)])
    with pytest.raises(InvalidParameters, match=r"returned shape \[1, 7\]; not \(batch, length, vocabulary\)"):
        job.ask(ASKED, prompts=[[1]], model="1:c")
    assert ASKED.datasets(ASKED.params(prompts=[[1]])) == []
