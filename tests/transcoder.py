"""Tator's transcoder, run on a file against the stand-in."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tator

from tests.tator_server.launch import Server

FFMPEG = shutil.which("ffmpeg")


@dataclass(frozen=True)
class Transcoded:
    """A media and its copies.

    Attributes:
        media_id: id of the media.
        fields: rate, frames, width and height, as the transcoder wrote them.
        copies: files, the largest last.
    """

    media_id: int
    fields: dict[str, Any]
    copies: list[Path]


def transcode(server: Server, original: Path, folder: Path) -> Transcoded:
    """Run the transcoder of the package `tator`, without its upload, which needs another program."""
    media_id = server.add_media(original.name, media_files=None)
    source = shutil.copy(original, folder / f"x_{original.name}")
    command = [sys.executable, "-m", "tator.transcode", str(source), "--host", server.host, "--token", server.token]
    command += ["--project", str(server.project_id), "--type", str(server.video_type_id), "--media_id", str(media_id)]
    done = subprocess.run(
        [*command, "--work_dir", str(folder), "--inhibit-upload"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    media = tator.get_api(server.host, server.token).get_media(media_id)
    copies = sorted(folder.glob(f"{source.stem}_transcoded/[0-9]*.mp4"), key=lambda path: int(path.stem))
    fields = {key: getattr(media, key) for key in ("fps", "num_frames", "width", "height")}
    return Transcoded(media_id, fields, copies)
