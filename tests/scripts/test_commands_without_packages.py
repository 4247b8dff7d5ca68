"""What people call says in one sentence that its packages are missing."""

import importlib
import signal
import subprocess
import sys

import pytest

from tests.workflow import ROOT

COMMANDS = {
    path.stem: path
    for path in sorted((ROOT / "scripts/commands").glob("*.py"))
    if "def main(" in path.read_text(encoding="utf-8")
}


WAYS = [(name, ["-m", f"scripts.commands.{name}"]) for name in COMMANDS]
WAYS += [(name, [str(path)]) for name, path in COMMANDS.items() if "sys.path.insert" in path.read_text("utf-8")]


@pytest.mark.parametrize(("name", "what"), WAYS)
def test_one_sentence(name: str, what: list[str]) -> None:
    # -S leaves out the environment's packages.
    done = subprocess.run(
        [sys.executable, "-S", *what, "--help"], check=False, cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode == 0:  # it needs no package to tell its options
        assert "usage:" in done.stdout
        return
    assert done.returncode == 1
    assert done.stderr.startswith("the package "), done.stderr
    assert "make setup" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_names_the_command_as_it_is_typed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        importlib.import_module(f"scripts.commands.{name}").main(["--help"])
    assert capsys.readouterr().out.startswith(f"usage: python -m scripts.commands.{name} ")


def test_commands_are_found() -> None:
    assert {"make_pipeline_image", "register_algorithm", "select_media", "watch_run"} <= COMMANDS.keys()


def test_other_exceptions_are_shown_whole() -> None:
    code = "import scripts, no_such_package"
    done = subprocess.run([sys.executable, "-S", "-c", code], check=False, cwd=ROOT, capture_output=True, text=True)
    assert "Traceback" in done.stderr


def test_an_interrupt_is_one_sentence() -> None:
    code = "import os, signal, scripts; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(60)"
    done = subprocess.run([sys.executable, "-S", "-c", code], check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == "interrupted; the same command continues the work\n"


def test_an_interrupt_is_one_sentence_from_the_first_import_on() -> None:
    """Nothing is imported before the hook is set but what each start of Python has imported."""
    code = "import sys; before = set(sys.modules); import scripts; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-S", "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["scripts"]
