"""Mends of aggregates that gateways make themselves, and of what they keep in memory of them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from flstore_core.ids import Home, JobId
from services.gateway.answers.aggregates import Aggregates
from services.gateway.answers.early_models import EarlyModel, EarlyModels
from services.gateway.answers.execution import Outcome
from services.gateway.answers.question import Options, Question
from services.gateway.answers.run import Runner
from services.gateway.rounds.newest import Newest
from tests.protocol.mends.base import Mend, Patch


def _take_each_others_place(patch: Patch) -> None:
    make = Aggregates.make

    def make_in_any_case(
        aggregates: Aggregates, name: JobId, number: int, params: Mapping[str, Any], *, replace: bool = False
    ) -> Outcome:
        return make(aggregates, name, number, params, replace=True)

    patch.setattr(Aggregates, "make", make_in_any_case)


def _hand_out_what_is_there(patch: Patch) -> None:
    def get_whatever_it_is(newest: Newest, home: Home, key: str) -> memoryview | None:
        return newest._files.get(home, ("", None))[1]

    patch.setattr(Newest, "get", get_whatever_it_is)


def _keep_every_answer(patch: Patch) -> None:
    run = Runner._answer

    def answer_and_keep(runner: Runner, question: Question, options: Options, *rest: Any) -> Outcome:
        outcome = run(runner, question, options, *rest)
        runner.results.offer(outcome, question.job.home)
        return outcome

    patch.setattr(Runner, "_answer", answer_and_keep)


def _give_way_to_nobody(patch: Patch) -> None:
    store = EarlyModels.store

    def store_in_any_case(models: EarlyModels, home: Home, model: EarlyModel, write: Any) -> bool:
        return store(models, home, model, partial(write, gives_way=False))

    patch.setattr(EarlyModels, "store", store_in_any_case)


MENDS = [
    Mend(
        "aggregates-stay",
        "an aggregate that was made and answered is no longer the round's",
        _take_each_others_place,
        "aggregates",
        65,
    ),
    Mend(
        "newest-by-file",
        "a gateway hands out a model that another one has replaced",
        _hand_out_what_is_there,
        "aggregates",
        233,
    ),
    Mend(
        "refused-aggregates-forgotten",
        "an answer links to an aggregate that was made and refused",
        _keep_every_answer,
        "trainings",
        133,
    ),
    Mend(
        "early-models-give-way",
        "an early aggregate takes the place of one that was made and stored since",
        _give_way_to_nobody,
        "early models",
        10,
    ),
]
