"""Which exceptions fail only one media, the reason in its record, and the notes by which it is tried again."""

import errno
from pathlib import Path

import pytest

from scripts.lib.errors import (
    STORE_VARIABLE,
    DeviceError,
    GraphError,
    MediaFault,
    MediaServerError,
    ServerError,
    SettingsError,
    of_one_media,
)
from scripts.lib.server.faults import Refused, ServerUnavailable, TokenRefused
from scripts.lib.workflow.jobs.failures import as_fault, forget, note


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MediaFault("damaged", "cut"), True),
        (MediaServerError("the store answered 404"), True),
        (Refused(403, "no right"), True),
        (MemoryError(), True),
        (ValueError("odd"), True),
        (AssertionError(), True),
        (FileNotFoundError(errno.ENOENT, "gone"), True),
        (TokenRefused(400, "Invalid token"), False),
        (ServerUnavailable("down"), False),
        (ServerError("not trusted"), False),
        (SettingsError("odd"), False),
        (GraphError("broken"), False),
        (DeviceError("gone"), False),
        (OSError(errno.ENOSPC, "full"), False),
        (ImportError("no av"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_which_exceptions_concern_one_media(error: BaseException, *, expected: bool) -> None:
    assert of_one_media(error) is expected


def test_with_a_store_the_job_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STORE_VARIABLE, "1")
    assert not of_one_media(ValueError("odd"))
    assert not of_one_media(Refused(403, "no right"))
    assert of_one_media(MediaFault("unreadable", "junk"))


def test_a_reason_is_one_short_line_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TATOR_AUTH_TOKEN", "1234567890abcdef")
    fault = as_fault(ValueError("1234567890abcdef at https://store/a?X-Amz-Signature=abc\n" + "x" * 100_000))
    assert fault.state == "failed"
    assert fault.reason.startswith("an unexpected error, ValueError: <token> at https://store/a?<removed> xxx")
    assert len(fault.reason) < 600
    assert as_fault(MemoryError()).reason == "it needs more memory than its job has; give the job more (mem_mb)"


def test_only_the_noted_files_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outside").touch()
    folder = tmp_path / "run"
    (folder / "results/uploads").mkdir(parents=True)
    monkeypatch.chdir(folder)
    mine, other = (Path(f"results/uploads/{number}.json") for number in (1, 2))
    for path in (mine, other):
        path.touch()
    note(1, [mine.absolute(), Path("../outside")])
    assert forget(folder) == ["results/uploads/1.json"]
    assert (mine.exists(), other.exists(), (tmp_path / "outside").exists()) == (False, True, True)
    assert forget(folder) == []


def test_notes_of_files_behind_a_link_to_another_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, other_disk = tmp_path / "run", tmp_path / "disk" / "results"
    run.mkdir()
    other_disk.mkdir(parents=True)
    (run / "results").symlink_to(other_disk)
    monkeypatch.chdir(run)
    record = Path("results/detections/5.json")
    record.parent.mkdir()
    record.write_text("{}")
    note(5, [record])
    assert forget(Path()) == [str(record)]
    assert not record.exists()
    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    note(6, [outside])
    assert forget(Path()) == []
    assert outside.exists()
