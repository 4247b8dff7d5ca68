"""Choose the media whose frames are used to quantize the network."""

from collections.abc import Sequence
from pathlib import Path

from scripts.lib.files import read_json

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
    """
    if asked is not None:
        return list(asked)
    before: list[int] = read_json(drift)["media_ids"] if drift.exists() else []
    return before if before and set(before) <= set(media_ids) else list(media_ids[:MEDIA])
