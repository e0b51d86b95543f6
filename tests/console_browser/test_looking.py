"""What a person sees who looks at a job: the attacker in words, answers as the API gives them, rounds that fill."""

import json
import re
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import expect

from flstore_core.client import FLStore
from loadgen.demo.measure import wait_for_zero
from services.console import links
from services.console.pages import VIEWS
from services.console.parts import live
from tests.console_browser.conftest import Open
from tests.console_browser.system import JOB, SETUP, System, attacker_of, system, train
from tests.console_browser.test_every_view import ROUND, Trained, address, settled

IDLE_S = 2.0
SHORT = replace(SETUP, rounds=2)


def test_the_attacker_is_named_in_words(open_page: Open, trained: Trained) -> None:
    where, training = trained
    attacker = attacker_of(training)
    with where.client() as client:
        number = next(
            each.round
            for each in client.rounds(JOB)
            if each.round > 0 and attacker in client.run(JOB, "malicious-filter", round=each.round).result.malicious
        )
    page = settled(open_page(where.console + links.round_(JOB, number)))
    expect(page.locator(".verdicts")).to_contain_text(attacker)
    expect(page.locator(".finding").first).to_contain_text("malicious")


def test_an_answer_is_that_of_the_api(open_page: Open, trained: Trained) -> None:
    where, _ = trained
    page = settled(open_page(where.console + links.ask(job=JOB, workload="clustering", round=ROUND)))
    page.get_by_role("button", name="Ask the question").click()
    page.get_by_text("The answer as JSON").click()
    shown = json.loads(page.locator("details pre").inner_text())
    with where.client() as client:
        assert shown == client.run(JOB, "clustering", round=ROUND).result.raw


def test_a_form_is_filled_in_by_keyboard_alone(open_page: Open, trained: Trained) -> None:
    where, _ = trained
    page = settled(open_page(where.console + links.ask(job=JOB, workload="drift")))
    page.get_by_label("client", exact=True).focus()
    page.keyboard.type("client-03")
    expect(page.get_by_text("-p 'client=\"client-03\"'", exact=False)).to_be_visible()
    button = page.get_by_role("button", name="Ask the question")
    for _ in range(20):
        page.keyboard.press("Tab")
        if button.evaluate("each => each === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What it took")).to_be_visible()
    assert "client=client-03" in page.url


def test_the_first_stop_of_the_keyboard_leads_past_the_navigation(open_page: Open, trained: Trained) -> None:
    where, _ = trained
    page = settled(open_page(where.console + links.round_(JOB, ROUND)))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip() == "Skip to the content"


def test_a_long_question_is_an_operation_with_an_answer(open_page: Open, trained: Trained) -> None:
    where, _ = trained
    page = settled(open_page(where.console + links.ask(job=JOB, workload="aggregate", round=ROUND)))
    expect(page.get_by_role("checkbox")).to_be_checked()
    page.get_by_role("button", name="Ask the question").click()
    expect(page.get_by_role("heading", name="What it took")).to_be_visible()
    expect(page.get_by_text("shard-").first).to_be_visible()


def test_an_open_round_fills_while_one_looks(open_page: Open, own: System) -> None:
    with own.client() as client:
        training = train(client, setup=SHORT)
        updates = next(iter(training.rounds())).updates
        number = SHORT.rounds + 1
        client.put_update(JOB, number, updates[0].client, updates[0].arrays, metrics=updates[0].metrics)
        page = settled(open_page(own.console + links.round_(JOB, number)))
        expect(page.get_by_text(re.compile("^ ?1 of .* expected updates are here"))).to_be_visible()
        for update in updates[1:4]:
            client.put_update(JOB, number, update.client, update.arrays, metrics=update.metrics)
        expect(page.get_by_text(re.compile("^ ?4 of .* expected updates are here"))).to_be_visible()
        client.commit(JOB, number)
        expect(page.get_by_role("heading", name="Committed")).to_be_visible()


def test_looking_starts_no_shard(open_page: Open, tmp_path: Path) -> None:
    """Every view of a job whose shards are at zero, an open round included."""
    with system(tmp_path, idle_seconds=IDLE_S) as running, running.client() as client:
        training = train(client, setup=SHORT)
        update = next(iter(training.rounds())).updates[0]
        number = SHORT.rounds + 1
        for name in ("a", "b"):
            client.put_update(JOB, number, name, update.arrays)
        wait_for_zero(client, IDLE_S)
        before = _starts(client)
        for view in VIEWS:
            settled(open_page(running.console + address(view, str(update.client), 1)))
        page = settled(open_page(running.console + links.round_(JOB, number)))
        expect(page.get_by_text("The shards of this job are at zero.", exact=False)).to_be_visible()
        page.wait_for_timeout(1000 * live.EVERY_S + 500)
        assert _starts(client) == before
        page.get_by_role("button", name="Wake them and ask").click()
        expect(page.get_by_role("heading", name="Similarity")).to_be_visible()
        assert _starts(client) > before


def _starts(client: FLStore) -> int:
    return sum(int(row["starts"]) for row in client.cache().raw["shards"])
