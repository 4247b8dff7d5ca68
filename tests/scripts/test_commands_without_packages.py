"""Commands without their packages: one clear message, and none of it for an interrupt."""

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


CALLS = [(name, ["-m", f"scripts.commands.{name}"]) for name in COMMANDS]
CALLS += [(name, [str(path)]) for name, path in COMMANDS.items() if "sys.path.insert" in path.read_text("utf-8")]


@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_missing_packages_are_one_clear_message(name: str, arguments: list[str]) -> None:
    # -S leaves out the environment's packages.
    command = [sys.executable, "-S", *arguments, "--help"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:  # its help needs no package
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


def test_other_exceptions_have_their_traceback() -> None:
    code = "import scripts, no_such_package"
    done = subprocess.run([sys.executable, "-S", "-c", code], check=False, cwd=ROOT, capture_output=True, text=True)
    assert "Traceback" in done.stderr


def test_an_interrupt_is_one_message() -> None:
    code = "import os, signal, scripts; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(60)"
    done = subprocess.run([sys.executable, "-S", "-c", code], check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == "interrupted; the same command continues the work\n"


def test_nothing_is_imported_before_interrupts_are_handled() -> None:
    """Only modules that Python itself imports at its start are imported before the hook is set."""
    code = "import sys; before = set(sys.modules); import scripts; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-S", "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["scripts"]
