"""Ask: any workload as a form, its answer, what it took, and the same question as lines to copy.

The form comes from the JSON Schema of the workload's parameters. A question is in the address of the page, with all
that was filled in; looking at it asks nothing, because an answer over weights or models wakes shards and predictors.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from nicegui import ui

from flstore_core.client.async_client import AsyncFLStore
from flstore_core.client.results import Answer, Fields, Operation
from flstore_core.errors import FLStoreError, InvalidParameters, Unauthorized, from_problem, unknown
from flstore_core.ids import decode
from services.console import links
from services.console.parts import answers, controls, forms, numbers, questions, states
from services.console.parts.elements import block, section, text
from services.console.parts.forms import Field, Kind
from services.console.views import API_URL

FIRST: Final = "malicious-filter"
"""The workload that is chosen before the viewer chooses one."""
WHERE: Final = {
    "metadata": "The gateway answers alone, from metadata. No shard is woken.",
    "statistics": "The gateway answers alone, from statistics of rounds. A shard is asked about open rounds only.",
    "weights": "Shards answer, next to the weights; those at zero are woken.",
    "model": "A predictor runs models; if it is at zero, it is woken.",
}
LONG: Final = frozenset({"weights", "model"})
"""Needs whose answers may take long: they are asked as operations, unless the viewer says otherwise."""
POLL_S = 0.5
RESERVED: Final = frozenset({"job", "workload", "operation", API_URL})


async def show(gateway: AsyncFLStore, parameters: Mapping[str, str]) -> None:
    """Draw the view."""
    jobs, workloads = await gateway.jobs(), {str(each.name): each for each in await gateway.workloads()}
    if not jobs:
        states.empty("There is no job to ask about", "Create one and store a round; the README shows how in ten lines.")
        return
    job = decode(parameters.get("job", "")) or jobs[-1].job
    name = parameters.get("workload") or (FIRST if FIRST in workloads else next(iter(workloads)))
    if name not in workloads:
        raise unknown("workload", name, workloads)
    _choices([each.job for each in jobs], workloads, job, name)
    question = Question(gateway, parameters.get(API_URL, gateway.url), job, workloads[name], parameters)
    question.draw()
    if operation := parameters.get("operation"):
        await question.follow(await gateway.operation(operation))


def _choices(jobs: list[str], workloads: Mapping[str, Fields], job: str, name: str) -> None:
    with block("div", "fields part"):
        known = {each: each for each in [*jobs, *([] if job in jobs else [job])]}
        controls.choice("job", known, job, lambda chosen: ui.navigate.to(links.ask(job=chosen, workload=name)))
        controls.choice(
            "workload",
            {each: each for each in workloads},
            name,
            lambda each: ui.navigate.to(links.ask(job=job, workload=each)),
        )


class Question:
    """One workload's form, and below it the answer."""

    def __init__(
        self, gateway: AsyncFLStore, url: str, job: str, workload: Fields, parameters: Mapping[str, str]
    ) -> None:
        self._gateway = gateway
        self._url = url
        self._job = job
        self._workload = workload
        self._fields = forms.fields(workload.parameters.raw)
        self._texts = {name: value for name, value in parameters.items() if name not in RESERVED}
        self._in_background = workload.needs in LONG

    def draw(self) -> None:
        """Draw the form, and the places for what follows."""
        with section(str(self._workload.name), str(self._workload.summary)):
            text(WHERE.get(self._workload.needs, ""), "p", "note")
            with block("div", "fields"):
                for field in self._fields:
                    self._draw_field(field)
            with block("div", "choices"):
                controls.press("Ask the question", self.ask)
                self._draw_background()
        self._answer = block("div", "answer").props("aria-live=polite")
        with section(
            "The same question elsewhere", "The token is taken from the environment; it is in none of these lines."
        ):
            self._lines = block("div")
        self._draw_lines()

    def _draw_field(self, field: Field) -> None:
        value = self._texts.get(field.name, "")
        with block("div", "parameter"):
            if field.kind in (Kind.CHOICE, Kind.FLAG):
                usual = f"default: {forms.as_text(field.default)}" if field.default is not None else "-"
                offered = field.choices if field.kind is Kind.CHOICE else ("true", "false")
                options = ({} if field.required else {"": usual}) | {each: each for each in offered}
                if field.required:
                    self._texts.setdefault(field.name, next(iter(options), ""))
                controls.choice(field.name, options, value, partial(self._fill, field.name))
            else:
                lines = 3 if field.kind in (Kind.NAMES, Kind.JSON) else 1
                controls.line(
                    field.name,
                    value,
                    partial(self._fill, field.name),
                    hint=field.hint,
                    lines=lines,
                )
            controls.explain(field.name, field.help)

    def _draw_background(self) -> None:
        with block("label", "check"):
            box = ui.element("input").props("type=checkbox id=in-background")
            if self._in_background:
                box.props["checked"] = True
            box.on("change", lambda event: self._set_background(event.args), js_handler="(e) => emit(e.target.checked)")
            text("as an operation, with progress, that can be cancelled")

    def _set_background(self, chosen: Any) -> None:
        self._in_background = bool(chosen)

    def _fill(self, name: str, value: str) -> None:
        self._texts[name] = value
        self._draw_lines()

    def _draw_lines(self) -> None:
        self._lines.clear()
        with self._lines:
            try:
                params = forms.values_of(self._fields, self._texts)
            except InvalidParameters as error:
                text(error.detail, "p", "note")
                return
            asked = self._url, self._job, str(self._workload.name), params
            controls.lines_to_copy(
                [
                    ("curl", questions.as_curl(*asked)),
                    ("Python", questions.as_python(*asked)),
                    ("Command line", questions.as_command(*asked)),
                ]
            )

    async def ask(self) -> None:
        """Ask what the form says, and draw the answer or what is wrong."""
        try:
            params = forms.values_of(self._fields, self._texts)
            self._remember()
            self._say("Waiting for the answer …")
            if self._in_background:
                await self.follow(await self._gateway.submit(self._job, self._workload.name, **params))
            else:
                self._draw_answer(await self._gateway.run(self._job, self._workload.name, **params))
        except Unauthorized:
            ui.navigate.to(links.LOGIN)
        except FLStoreError as error:
            self._draw_trouble(error)

    def _remember(self, **more: str) -> None:
        """Put the question into the address of the page, so that it can be mailed and asked again."""
        filled = {name: value for name, value in self._texts.items() if value.strip()}
        address = links.ask(job=self._job, workload=self._workload.name, **filled, **more)
        ui.navigate.history.replace(address)

    async def follow(self, operation: Operation) -> None:
        """Draw an operation until it has ended."""
        if operation.state != "running":
            self._draw_end(operation)
            return
        self._remember(operation=operation.id)
        self._answer.clear()
        with self._answer, block("div", "state").props("role=status"):
            said = text("The operation runs.", "p")
            bar = block("progress").props('max=1 aria-label="progress of the operation"')
            controls.press("Cancel", lambda: self._gateway.cancel(operation), "choice")

            async def look() -> None:
                try:
                    now = await self._gateway.operation(operation.id)
                except FLStoreError as error:
                    if not error.retryable:
                        timer.cancel()
                        self._draw_trouble(error)
                    return
                if now.state != "running":
                    timer.cancel()
                    self._draw_end(now)
                elif now.progress is not None:
                    bar.props["value"] = now.progress
                    bar.update()
                    said.set_text(f"The operation runs: {numbers.percent(now.progress)}.")

            timer = ui.timer(POLL_S, look)

    def _draw_end(self, operation: Operation) -> None:
        if operation.answer:
            self._draw_answer(operation.answer)
        elif operation.state == "cancelled":
            self._say("The operation was cancelled.")
        else:
            self._draw_trouble(from_problem(operation.problem or {"detail": "the operation failed"}))

    def _draw_answer(self, answer: Answer) -> None:
        self._answer.clear()
        with self._answer:
            with section("Answer"):
                answers.draw(answer)
            with section("What it took"):
                answers.draw_execution(answer)

    def _draw_trouble(self, error: FLStoreError) -> None:
        self._answer.clear()
        with self._answer, block("div", "state state-trouble").props("role=alert"):
            text(error.title, "p", "state-title")
            text(error.detail, "p")

    def _say(self, words: str) -> None:
        self._answer.clear()
        with self._answer, block("div", "state").props("role=status"):
            text(words, "p")
