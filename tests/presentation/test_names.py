"""Names as a screen can show them: legible, short enough, and never two alike."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.presentation import fitting, legible, tidy
from flstore_core.presentation.names import LEAST_ROOM

NAMES = st.lists(st.text(st.characters(), max_size=60) | st.text("ab\u202e\n…#2", max_size=60), max_size=12)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[red]c1[/]", "[red]c1[/]"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[31mred\x9b0m", r"\x1b[31mred\x9b0m"),
        ("a\u202eb\u2066c\u200d", r"a\u202eb\u2066c\u200d"),
        ("line\u2028end\ud800", r"line\u2028end\ud800"),
        ("Zürich 東京", "Zürich 東京"),
        ("אבג", "\u2068אבג\u2069"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert legible(text) == shown


@given(st.text(st.characters()))
def test_legible_text_has_no_control_and_no_open_isolation(text: str) -> None:
    shown = legible(text).removeprefix("\u2068").removesuffix("\u2069")
    assert not {unicodedata.category(each) for each in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(NAMES, st.integers(LEAST_ROOM, 60))
def test_no_two_names_become_the_same_text_and_none_is_too_long(names: list[str], room: int) -> None:
    shown = fitting(names, room)
    assert shown.keys() == set(names)
    assert len(set(shown.values())) == len(shown)
    assert all(len(text) <= room + 2 for text in shown.values()), "an isolation takes two characters, but no cells"


def test_names_that_fit_stay_as_they_are_and_long_ones_lose_their_middle() -> None:
    long = "hospital-" + "x" * 300 + "-north"
    assert fitting(["c1", long]) == {"c1": "c1", long: "hospital-xxxxx…xxxxxxx-north"}


def test_names_that_differ_in_the_middle_alone_are_numbered() -> None:
    names = ["a" * 40 + each + "a" * 40 for each in "bcd"]
    assert list(fitting(names).values()) == [
        "a" * 14 + "…" + "a" * 13,
        "a" * 12 + "…#2…" + "a" * 12,
        "a" * 12 + "…#3…" + "a" * 12,
    ]


def test_a_name_that_looks_like_the_escape_of_another_stays_itself() -> None:
    assert fitting(["a\nb", r"a\nb"]) == {r"a\nb": r"a\nb", "a\nb": r"a\…#2…nb"}


def test_wide_characters_take_two_cells() -> None:
    assert fitting(["東" * 14, "東" * 15]) == {"東" * 14: "東" * 14, "東" * 15: "東" * 7 + "…" + "東" * 6}


def test_a_name_is_the_same_text_everywhere_and_sentences_stay_whole() -> None:
    name, reason = "n" * 50, "is " + "much " * 20 + "\n"
    answer = {"labels": {name: 1}, "rows": [{"client": name, "reasons": [reason]}], "sha256": "0" * 64, "n": 1.5}
    short = "n" * 14 + "…" + "n" * 13
    assert tidy(answer) == {
        "labels": {short: 1},
        "rows": [{"client": short, "reasons": [reason.replace("\n", r"\n")]}],
        "sha256": "0" * 64,
        "n": 1.5,
    }
