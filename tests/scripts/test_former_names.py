"""The commands by their names from before they moved into scripts/commands."""

import runpy
import sys

import pytest

from tests.workflow import ROOT

FORMER = sorted(
    path.stem for path in (ROOT / "scripts").glob("*.py") if "The former name of" in path.read_text("utf-8")
)


def test_all_former_commands_are_found() -> None:
    assert FORMER == ["make_pipeline_image", "register_algorithm", "select_media", "watch_run"]


@pytest.mark.parametrize("name", FORMER)
def test_a_former_command_works_and_names_the_new_one(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"scripts.{name}", run_name="__main__")
    written = capsys.readouterr()
    assert ended.value.code == 0
    assert written.out.startswith("usage: ")
    assert f"scripts.{name} is now scripts.commands.{name}; the old name ends with 0.2" in written.err
