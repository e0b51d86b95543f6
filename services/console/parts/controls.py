"""Fields that a viewer fills in: native ones with label and help, which any browser and keyboard knows."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from services.console.parts.elements import block, text

TAKEN = "(event) => emit(event.target.value)"
Changed = Callable[[str], object]


def choice(name: str, options: Mapping[str, str], chosen: str, changed: Changed, *, label: str = "") -> None:
    """Draw a list to choose from: what is shown, by value."""
    with block("div", "field"):
        text(label or name, "label").props["for"] = name
        with ui.element("select") as drawn:
            drawn.props["id"] = name
            for value, words in options.items():
                option = text(words, "option")
                option.props["value"] = value
                if value == chosen:
                    option.props["selected"] = True
        drawn.on("change", lambda event: changed(str(event.args)), js_handler=TAKEN)


def line(name: str, value: str, changed: Changed, *, hint: str = "", lines: int = 1, kind: str = "text") -> None:
    """Draw a field for text, of one line or more.

    Args:
        kind: as HTML's `type` has it.
        hint: what may be put in, shown where nothing is.
    """
    with block("div", "field"):
        text(name, "label").props["for"] = name
        # What was typed outlives a redrawing: Vue sets a `value` each time, but an attribute or a text when it changes.
        drawn = TextElement(tag="textarea", text=value) if lines > 1 else ui.element("input")
        drawn.props["id"], drawn.props["placeholder"] = name, hint
        drawn.props["aria-describedby"] = f"{name}-help"
        if lines > 1:
            drawn.props["rows"] = lines
        else:
            drawn.props["^value"], drawn.props["type"], drawn.props["autocomplete"] = value, kind, "off"
        drawn.on("input", lambda event: changed(str(event.args)), js_handler=TAKEN)


def explain(name: str, words: str) -> None:
    """Draw the help of the field with this name."""
    if words:
        text(words, "p", "note help").props["id"] = f"{name}-help"


def press(words: str, pressed: Callable[[], object], classes: str = "primary") -> ui.element:
    """Draw a button."""
    button = text(words, "button", classes).props("type=button")
    button.on("click", lambda: pressed())
    return button


def lines_to_copy(lines: Sequence[tuple[str, str]]) -> None:
    """Draw texts, each with a button that copies it: `(title, text)`."""
    for title, words in lines:
        with block("div", "copied"):
            with block("div", "copied-title"):
                text(title, "h3")
                copy = press("Copy", partial(ui.clipboard.write, words), "choice")
                copy.props["aria-label"] = f"Copy {title}"
            text_as_it_is(words)


def text_as_it_is(words: str) -> None:
    """Draw text with its line breaks, in letters of one width."""
    with block("pre").props("tabindex=0"):
        for number, each in enumerate(words.split("\n")):
            if number:
                ui.element("br")
            text(each)
