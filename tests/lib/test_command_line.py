"""Arguments of the commands are checked before any work is done."""

import argparse
import errno
import os
from pathlib import Path

import pytest

from scripts.lib import command_line
from scripts.lib.errors import SettingsError
from scripts.lib.files import naming_full_disk, replacing, write_bytes
from tests.lib.workflow.configuration.resolved_settings import SCHEMA


def parser() -> argparse.ArgumentParser:
    found = command_line.Parser(exit_on_error=False)
    found.add_argument("--any", default="any")
    found.add_argument("--sides", type=int, nargs=2)
    found.add_argument("--set", action=command_line.StorePairs, default={})
    found.add_argument("--file", type=command_line.output_file)
    found.add_argument("--folder", type=command_line.output_folder)
    found.add_argument("--share", type=command_line.share)
    found.add_argument("--text", type=command_line.not_empty)
    found.add_argument("--side", type=command_line.side)
    found.add_argument("--path", type=command_line.path)
    return found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "a"], "'a' is not NAME=VALUE"),
        (["--set", "=a"], "'=a' is not NAME=VALUE"),
        (["--set", "a=1", "--set", "a=2"], "a is given as '1' and as '2'; expected one of them"),
        (["--any", "any", "--any", "secret"], "--any: it is given twice, with different values; expected one of them"),
        (["--sides", "1", "2", "--share", "1", "--sides", "1", "3"], "--sides: it is given twice, with different"),
        (["--file", "a" * 300], "a': File name too long; choose another name"),
        (["--file", "a" * 250], "a': File name too long; choose another name"),
        (["--folder", "a" * 300], "a': File name too long; choose another name"),
        (["--file", ""], "'' is empty"),
        (["--file", "."], "'.' is a folder; expected the name of a file"),
        (["--file", "none/a.txt"], "there is no folder 'none'"),
        (["--file", "/dev/null"], "is a device or a pipe"),
        (["--folder", "file"], "'file': 'file' is not a folder"),
        (["--folder", "file/inside/it"], "file' is not a folder"),
        (["--folder", " "], "' ' is empty"),
        (["--share", "nan"], "'nan'; expected a number from 0 to 1"),
        (["--share", "1.1"], "'1.1'; expected a number from 0 to 1"),
        (["--share", "half"], "'half'; expected a number from 0 to 1"),
        (["--text", ""], "'' is empty; expected a text, or leave the option out"),
        (["--path", ""], "'' is empty"),
        *(
            (["--side", side], f"{side!r} is not a whole number from 32 to 16384")
            for side in ("31", "16385", "1e3", "")
        ),
    ],
)
def test_a_wrong_argument_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(argparse.ArgumentError) as refused:
        parser().parse_args(arguments)
    assert message in str(refused.value)
    assert "secret" not in str(refused.value)


def test_arguments_that_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    for name in ("file", "new", str(tmp_path / "new")):
        assert parser().parse_args(["--file", name]).file == Path(name)
    for name in (".", "new", "new/er", str(tmp_path / "new")):
        assert parser().parse_args(["--folder", name]).folder == Path(name)
    assert parser().parse_args(["--set", "a=1=2", "--set", "b=", "--set", "a=1=2"]).set == {"a": "1=2", "b": ""}
    assert parser().parse_args([]).set == {}
    assert parser().parse_args(["--sides", "1", "2", "--sides", "1", "2", "--any", "b", "--any", "b"]).sides == [1, 2]


def test_a_file_that_is_read_is_not_replaced(tmp_path: Path) -> None:
    picture, other = tmp_path / "fish.png", tmp_path / "other.png"
    picture.touch()
    (tmp_path / "link.png").symlink_to(picture)
    for output in (picture, tmp_path / "link.png", tmp_path / ".." / tmp_path.name / "fish.png"):
        with pytest.raises(SettingsError, match=r"--out: .*png is the file that is read; expected another name"):
            command_line.refuse_to_replace([None, picture], output, "--out")
    command_line.refuse_to_replace([None, picture], None, "--out")
    command_line.refuse_to_replace([None, picture, other], tmp_path / "new.png", "--out")


@pytest.mark.parametrize("option", ["--file", "--folder"])
def test_a_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setattr(os, "access", lambda folder, _: folder != tmp_path)  # root may write everywhere
    with pytest.raises(argparse.ArgumentError, match="cannot be written to; choose another folder"):
        parser().parse_args([option, str(tmp_path / "new")])


def test_the_limits_of_sides_are_those_of_the_settings() -> None:
    for name in ("img_max_side", "img_min_side"):
        entry = SCHEMA["properties"]["detect"]["properties"][name]
        assert (entry["minimum"], entry["maximum"]) == (command_line.LEAST_SIDE, command_line.LARGEST_SIDE)


def test_a_full_disk_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "boxes.json"

    def work() -> None:
        with replacing(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert command_line.run(work) == 1
    assert capsys.readouterr().err == f"{path}: No space left on device\n"
    assert not list(tmp_path.iterdir())


def test_a_full_disk_of_temporary_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as caught, naming_full_disk(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(tmp_path)
    with pytest.raises(OSError, match="reset") as caught, naming_full_disk(tmp_path):
        raise OSError(errno.ECONNRESET, "reset")
    assert caught.value.filename is None


@pytest.mark.parametrize(("name", "error"), [("none/a", FileNotFoundError), ("folder", IsADirectoryError)])
def test_a_file_that_cannot_be_written_is_named_as_given(tmp_path: Path, name: str, error: type[OSError]) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(error) as caught:
        write_bytes(tmp_path / name, b"content")
    assert caught.value.filename == str(tmp_path / name)
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]
