"""The filter of system calls as it is made; `test_confinement` has what it does."""

import errno
import threading
from typing import Any

import pytest

from services.predictor.confined import syscalls
from services.predictor.confined.syscalls import ALLOWED, FOR_GPUS, Filter, Unfiltered

DANGEROUS = (
    "open openat creat socket connect bind execve execveat fork vfork ptrace process_vm_readv kill mount bpf ioctl"
)


class Library:
    """libseccomp up to where it would restrict this process."""

    def __init__(self, filter: Filter, loaded: int = 0, added: int = 0) -> None:  # noqa: A002
        self._library = filter._library
        self._loaded, self._added = loaded, added
        self.released = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def seccomp_load(self, _: Any) -> int:
        return self._loaded

    def seccomp_rule_add_array(self, *arguments: Any) -> int:
        return self._added or int(self._library.seccomp_rule_add_array(*arguments))

    def seccomp_release(self, context: Any) -> None:
        self.released += 1
        self._library.seccomp_release(context)


def filter_with(monkeypatch: pytest.MonkeyPatch, **answers: int) -> tuple[Filter, Library]:
    made = Filter()
    library = Library(made, **answers)
    monkeypatch.setattr(made, "_library", library)
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    return made, library


def test_nothing_dangerous_is_on_the_list() -> None:
    assert not set(DANGEROUS.split()) & set(ALLOWED.split())


def test_what_computes_on_a_gpu_may_talk_to_its_driver_as_well_and_no_more() -> None:
    assert set(DANGEROUS.split()) & {*Filter("cuda")._allowed} == {"ioctl"} == set(FOR_GPUS.split())


def test_a_filter_is_made_of_every_name_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    made, library = filter_with(monkeypatch)
    made.install()
    assert library.released == 1


@pytest.mark.parametrize(("refusal", "said"), [("loaded", "the kernel accepts no filter"), ("added", "no filter for")])
def test_a_refusal_is_told(monkeypatch: pytest.MonkeyPatch, refusal: str, said: str) -> None:
    made, library = filter_with(monkeypatch, **{refusal: -errno.EINVAL})
    with pytest.raises(Unfiltered, match=said):
        made.install()
    assert library.released == 1


def test_other_threads_are_not_left_unrestricted(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = filter_with(monkeypatch)
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    with pytest.raises(AssertionError, match="other threads"):
        made.install()


def test_a_system_without_the_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "LIBRARY", "libmissing.so")
    with pytest.raises(Unfiltered, match=r"libmissing\.so is not installed"):
        Filter()
