"""Texts and blocks of HTML. A text is always text: whatever a name holds, a browser shows it and obeys none of it."""

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from flstore_core.presentation.names import LEAST_ROOM, fitting, legible


def block(tag: str = "div", classes: str = "") -> ui.element:
    """Return an element that others are put into, in a `with` block."""
    return ui.element(tag).classes(classes)


def text(words: object, tag: str = "span", classes: str = "") -> TextElement:
    """Draw a text in an element of its own, with every character visible."""
    return TextElement(tag=tag, text=legible(str(words))).classes(classes)


def heading(words: str, level: int = 2) -> TextElement:
    return text(words, f"h{level}")


def link(words: object, target: str, classes: str = "") -> ui.link:
    """Draw a link within the console or, where `target` is a whole address, out of it."""
    return ui.link(legible(str(words)), target).classes(classes)


def name_link(name: str, target: str) -> ui.link:
    """Draw a link whose words are a name from outside: shortened if it is long, and whole for whoever points at it."""
    drawn = link(fitting([name])[name], target, "name")
    if len(name) > LEAST_ROOM:
        drawn.props["title"] = legible(name)
    return drawn


def section(title: str, note: str = "") -> ui.element:
    """Return a titled part of a view, to be filled in a `with` block."""
    part = block("section", "part")
    with part:
        heading(title)
        if note:
            text(note, "p", "note")
    return part


def facts(pairs: dict[str, object]) -> None:
    """Draw values beside their names."""
    with block("dl", "facts"):
        for name, value in pairs.items():
            with block("div"):
                text(name, "dt")
                text(value, "dd")
