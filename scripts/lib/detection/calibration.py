"""Choose the media whose frames are used to quantize the network."""

from collections.abc import Sequence
from pathlib import Path

from scripts.lib.files import read_json

# Enough to have frames even if some cannot be read, and few enough to be downloaded quickly.
MEDIA = 10


def choose(asked: Sequence[int] | None, media_ids: Sequence[int], drift: Path) -> list[int]:
    """Return the media whose frames are used to quantize the network.

    A run that gets more media keeps its network: those it was quantized with stay chosen while all of them are in it.

    Args:
        asked: what the configuration names; None for nothing.
        media_ids: the run's media.
        drift: the record of the last quantization, if there was one.
    """
    if asked is not None:
        return list(asked)
    before: list[int] = read_json(drift)["media_ids"] if drift.exists() else []
    return before if before and set(before) <= set(media_ids) else list(media_ids[:MEDIA])
