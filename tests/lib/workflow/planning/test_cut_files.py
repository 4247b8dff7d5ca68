"""Files of an earlier run that a power failure cut, which are read while the next run is planned."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.data_images import tags
from scripts.lib.detection import calibration
from scripts.lib.errors import PipelineError
from scripts.lib.folder_source import run_listing
from scripts.lib.uploads import version_check
from scripts.lib.workflow.jobs import failures

IMAGE = {"data_image": "site/network:1", "archive": None, "digest": None}


def losses(destination: str, summary: str, memory: str) -> int:
    return version_check.check_for_losses(
        {}, {}, destination=Path(destination), summary=Path(summary), memory=Path(memory), warn=print
    )


@pytest.mark.parametrize("content", ['{"version_id": 3, "vers', "{}"])
@pytest.mark.parametrize(
    "read",
    [
        lambda path: calibration.choose(None, [1], path),
        version_check.stored_losses,
        lambda path: losses(path, "none.json", "none.json"),
        lambda path: tags.stored_digest(IMAGE, path),
        run_listing.read_listing,
    ],
)
def test_a_cut_file_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], Any], content: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("cut.json")
    path.write_text(content)
    with pytest.raises(PipelineError, match=r"^cut\.json: .*; remove the file, and make it again by the same command"):
        read(path)


def test_a_cut_note_of_a_failed_media(tmp_path):
    note = tmp_path / failures.NOTES / "7.detections.json"
    note.parent.mkdir(parents=True)
    note.write_text('["results/det')
    with pytest.raises(PipelineError, match=r"7\.detections\.json: it is not JSON .*; remove the file"):
        failures.forget(tmp_path)


def test_a_cut_summary(tmp_path):
    (tmp_path / "destination.json").write_text('{"version_id": 3, "version": "a", "type_id": 4}')
    (tmp_path / "summary.json").write_text('{"totals": {')
    with pytest.raises(PipelineError, match=r"summary\.json: it is not JSON .*; remove the file"):
        losses(*(str(tmp_path / name) for name in ("destination.json", "summary.json", "losses.json")))
