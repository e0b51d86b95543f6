"""Greedy generation against a plain PyTorch loop: whole models, and LoRA adapters over frozen weights."""

from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from tests.models.fixtures import ask, job_of, plain, put_round
from tests.models.networks import Causal, exported
from tests.running.jobs import JobOverHttp, problem
from tests.running.processes import System

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
    found = ask(language_job, "llm-inference", prompts=PROMPTS, max_new_tokens=8)
    for given, (tokens, likely) in zip(found["continuations"], greedy(causal, PROMPTS, 8), strict=True):
        assert given["tokens"] == tokens
        assert given["log_probability"] == pytest.approx(likely, rel=1e-4)
        assert not given["stopped"]


def test_a_stop_token_ends_a_prompt_and_no_other(language_job: JobOverHttp, causal: Causal) -> None:
    whole = [tokens for tokens, _ in greedy(causal, PROMPTS, 8)]
    stop = whole[0][2]
    found = ask(language_job, "llm-inference", prompts=PROMPTS, max_new_tokens=8, stop_token=stop)
    for given, tokens in zip(found["continuations"], whole, strict=True):
        ends = tokens.index(stop) + 1 if stop in tokens else len(tokens)
        assert given["tokens"] == tokens[:ends]
        assert given["stopped"] == (stop in tokens)


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
