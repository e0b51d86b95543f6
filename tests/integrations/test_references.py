"""What messages carry in place of models, and where a client may be sent."""

import json
from typing import Any

import pytest

from flstore_core.errors import InvalidParameters
from flstore_core.integrations.reference import Assignment, Delivery, Hosts, Model, Place
from flstore_core.integrations.reference.hosts import ForeignHost
from flstore_core.integrations.reference.references import LONGEST, order_of

MODEL = Model("http://flstore:8080", "mnist", 6, "9f" * 32, "flt1.abc.def")
ASSIGNMENT = Assignment(MODEL, Place(7, "hospital-a", "flt1.ghi.jkl"), "examples", by_value=True)
DELIVERY = Delivery("mnist", 7, "hospital-a", "60" * 32, 46_800_000)
NONE: Any = None


@pytest.mark.parametrize("assignment", [ASSIGNMENT, Assignment(MODEL)])
def test_an_assignment_is_read_as_it_was_written(assignment: Assignment) -> None:
    assert Assignment.from_text(assignment.to_text()) == assignment


def test_a_delivery_is_read_as_it_was_written() -> None:
    assert Delivery.from_text(DELIVERY.to_text()) == DELIVERY


@pytest.mark.parametrize("tensors", [3, 70_000])
def test_the_order_of_tensors_goes_with_the_model(tensors: int) -> None:
    names = [f"layer{number}" for number in range(tensors)]
    model = Model(MODEL.url, "mnist", 6, "9f" * 32, "flt1.abc.def", order_of(names[::-1], names))
    text = Assignment(model).to_text()
    assert len(text) < LONGEST
    arrays = dict.fromkeys(names, 0)
    assert list(Assignment.from_text(text).model.ordered(arrays)) == names[::-1]


def test_tensors_that_lie_in_order_need_no_order() -> None:
    assert order_of(["a", "b"], ["a", "b"]) == ()
    assert list(MODEL.ordered({"a": 1, "b": 2})) == ["a", "b"]


def test_an_order_that_is_longer_than_the_file_takes_what_is_there() -> None:
    model = Model("http://flstore", "j", 0, "9f" * 32, "t", (2, 0, 1))
    assert list(model.ordered({"a": 1, "b": 2})) == ["a", "b"]


def changed(part: str | None = None, **fields: Any) -> str:
    document = json.loads(ASSIGNMENT.to_text())
    (document[part] if part else document).update(fields)
    return json.dumps(document)


@pytest.mark.parametrize(
    "text",
    [
        NONE, b"{}", "", "[]", "{", "[" * 10_000, "{}", DELIVERY.to_text(), "x" * (LONGEST + 1),
        changed(model=NONE), changed(model=3), changed(by_value="yes"), changed(weight_key=3), changed(place=[]),
        changed("model", url=3), changed("model", job="../other"), changed("model", round=-1),
        changed("model", round=True), changed("model", round="6"), changed("model", round=10**30),
        changed("model", sha256="9F" * 32), changed("model", sha256="9f"), changed("model", ticket=""),
        changed("model", ticket="a\r\nHost: b"), changed("model", ticket="x" * 5000), changed("model", order="2!"),
        changed("model", order="9AAA="), changed("model", order="2AAAAAA=="), changed("place", client="a/b"),
        changed("place", client="aggregate"), changed("place", round=1.5), changed("place", ticket="é"),
    ],
)  # fmt: skip
def test_what_is_no_assignment_is_refused(text: Any) -> None:
    with pytest.raises(InvalidParameters, match="assignment"):
        Assignment.from_text(text)


@pytest.mark.parametrize("fields", [{"nbytes": "1"}, {"sha256": None}, {"client": "../x"}, {"round": -1}, {"job": ""}])
def test_what_is_no_delivery_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameters, match="delivery"):
        Delivery.from_text(json.dumps({**json.loads(DELIVERY.to_text()), **fields}))


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("http://flstore:8080", "http://flstore:8080"),
        ("http://flstore:8080/", "HTTP://FLStore:8080"),
        ("https://flstore", "https://flstore:443/"),
        ("http://a, http://flstore/prefix/", "http://flstore:80/prefix"),
    ],
)
def test_a_client_may_be_sent_to_a_gateway_that_its_operator_names(allowed: str, url: str) -> None:
    Hosts.named(allowed, None, env={}).require(url)
    Hosts.named(env={"FLSTORE_URL": allowed}).require(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://evil:8080", "https://flstore:8080", "http://flstore", "http://flstore:8080/other",
        "http://flstore.evil:8080", "http://sub.flstore:8080", "http://flstore:80800",
    ],
)  # fmt: skip
def test_a_client_is_sent_nowhere_else(url: str) -> None:
    with pytest.raises((ForeignHost, InvalidParameters)):
        Hosts.named("http://flstore:8080", env={}).require(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://flstore:8080@evil", "http://flstore:8080#@evil", "http://flstore:8080?x", "file:///etc", "flstore",
        "http://", "http://[", "", "http://evil\\@flstore:8080",
    ],
)  # fmt: skip
def test_what_is_no_plain_address_of_a_gateway_is_none(url: str) -> None:
    with pytest.raises((InvalidParameters, ForeignHost)):
        Hosts.named("http://flstore:8080", env={}).require(url)


def test_without_a_setting_a_client_is_sent_nowhere() -> None:
    with pytest.raises(ForeignHost, match="may be sent to none"):
        Hosts.named(env={}).require("http://127.0.0.1:8080")
