"""The zygote's own steps, without a fork; `test_pool` has the rest."""

from types import SimpleNamespace
from typing import Any

import pytest

from services.predictor.confined import zygote
from services.predictor.confined.syscalls import Filter, Unfiltered
from tests.predictor.confined.probing import BOUNDS


class Left(BaseException):
    """In place of the end of the process."""


def leave(code: int) -> None:
    raise Left(code)


def test_a_process_gives_everything_up_before_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    def note(name: str) -> Any:
        return lambda *_, **__: steps.append(name)

    own = {name: note(name) for name in ("setsid", "dup2")}
    monkeypatch.setattr(zygote, "os", SimpleNamespace(_exit=leave, **own))
    monkeypatch.setattr(
        zygote, "signal", SimpleNamespace(set_wakeup_fd=note(""), signal=note(""), SIGCHLD=0, SIG_DFL=0)
    )
    monkeypatch.setattr(zygote, "socket", SimpleNamespace(socket=note("socket")))
    monkeypatch.setattr(zygote, "torch", SimpleNamespace(set_num_threads=note("threads")))
    monkeypatch.setattr(zygote, "keep_only", note("keep only"))
    names = ("die_with_parent", "give_up_privileges", "limit")
    monkeypatch.setattr(zygote, "limits", SimpleNamespace(**{name: note(name) for name in names}))
    monkeypatch.setattr(zygote, "Worker", lambda _: SimpleNamespace(serve=note("serve")))
    filtered: Any = SimpleNamespace(install=note("filter"))
    with pytest.raises(Left, match="0"):
        zygote.run(7, BOUNDS, filtered)
    order = ["keep only", *names, "filter", "serve"]
    assert [step for step in steps if step in order] == order


def test_what_keeps_a_process_from_serving_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(zygote, "signal", SimpleNamespace())
    monkeypatch.setattr(zygote, "os", SimpleNamespace(_exit=leave))
    with pytest.raises(Left, match="1"):
        zygote.run(7, BOUNDS, None)
    assert "AttributeError" in capsys.readouterr().err


@pytest.mark.parametrize(("status", "reason"), [(0, ""), (256, "the kernel accepts no filter")])
def test_a_filter_is_tried_out_before_it_is_relied_on(
    monkeypatch: pytest.MonkeyPatch, status: int, reason: str
) -> None:
    monkeypatch.setattr(zygote, "os", SimpleNamespace(fork=lambda: 7, waitpid=lambda *_: (7, status)))
    found, told = zygote.check_filter()
    assert (found is None, told) == (bool(reason), reason)


def test_a_system_without_a_filter_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Filter, "__init__", lambda _: (_ for _ in ()).throw(Unfiltered("no library")))
    assert zygote.check_filter() == (None, "no library")


def test_only_one_descriptor_is_kept_beside_the_null_device_and_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []
    own = {name: lambda *numbers, name=name: calls.append((name, *numbers)) for name in ("dup2", "closerange")}
    monkeypatch.setattr(zygote, "os", SimpleNamespace(**own))
    monkeypatch.setattr(zygote, "resource", SimpleNamespace(getrlimit=lambda _: (1024, 4096), RLIMIT_NOFILE=7))
    zygote.keep_only(9)
    assert calls == [("dup2", 9, 0), ("closerange", 3, 1024)]
