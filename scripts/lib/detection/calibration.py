"""Choose the media whose frames are used to quantize the network."""

from collections.abc import Sequence
from pathlib import Path

from scripts.lib.files import write_bytes
from scripts.lib.records.record_files import missing_key_named, read_content

# Enough to have frames even if some media cannot be read, and few enough to be downloaded quickly.
MEDIA = 10


def choose(asked: Sequence[int] | None, media_ids: Sequence[int], drift: Path) -> list[int]:
    """Return the media whose frames are used to quantize the network.

    So that a run to which media are added keeps its network, the media of the last quantization stay chosen as long as
    the run has all of them.

    Args:
        asked: the media named in the settings; None if it names none.
        media_ids: the run's media.
        drift: path of the record of the last quantization; it may not exist.

    Raises:
        PipelineError: that record is not JSON, or names no media.
    """
    if asked is not None:
        return list(asked)
    before: list[int] = []
    if drift.exists():
        with missing_key_named(drift):
            before = read_content(drift)["media_ids"]
    return before if before and set(before) <= set(media_ids) else list(media_ids[:MEDIA])


def forget_after_changes(settings: str, folder: Path, *, keep: bool = False) -> None:
    """Remove the quantized network if it was made with other settings, so that it is made again.

    Snakemake does not check a job for changes if all of its inputs from a job that runs are `ancient`, as those of
    quantize_network are if media share jobs and one is added to the job of the calibration media.

    Args:
        settings: a hash of what the network depends on.
        folder: the folder of the quantized network, where the hash is stored.
        keep: whether only to store the hash, as with --touch.
    """
    memory = folder / "settings.txt"
    if memory.is_file() and memory.read_text(encoding="utf-8") == settings:
        return
    if not keep:
        (folder / "graph.xml").unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(memory, settings.encode())
