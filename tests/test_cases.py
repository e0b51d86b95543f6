"""What `make cases` prints and counts."""

from pathlib import Path

import pytest

from tests.cases import main, passes


@pytest.mark.parametrize(
    ("name", "text", "passed", "line"),
    [
        ("1.py", "print('first'); print('ok: fine')", True, "ok     1.py: ok: fine"),
        ("2.py", "print('FAULT: it is there'); raise SystemExit(1)", False, "FAILED 2.py: FAULT: it is there"),
        ("3.sh", "echo $WHERE; exit 1", False, "FAILED 3.sh: here"),
        ("4.sh", "true", True, "ok     4.sh: -"),
    ],
)
def test_a_case_passes_if_it_exits_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, passed: bool, line: str
) -> None:
    script = tmp_path / name
    script.write_text(text)
    assert passes(script, {"WHERE": "here", "PATH": "/bin:/usr/bin"}) is passed
    assert capsys.readouterr().out == f"{line}\n"


def test_without_cases_there_is_nothing_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tmp_path) == 0
    assert "no cases in" in capsys.readouterr().out
