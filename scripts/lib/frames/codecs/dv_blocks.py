"""What was lost in pictures of DV, whose decoder says nothing: by the heads of the blocks of which each consists.

A frame is a row of sequences of 150 blocks of 80 bytes (IEC 61834-2, SMPTE 314M): a header, two of subcode, three of
other data, then nine times a block of sound and fifteen of the picture. Three bytes at a block's beginning say which.
"""

import numpy as np
import numpy.typing as npt

_BLOCK, _SEQUENCE, _HEAD = 80, 150, 3
_FIRST, _GROUP = 6, 16  # where groups of one block of sound and 15 of the picture begin
_KIND, _PICTURE = 0xE0, 0x80  # of a head's first byte: the three bits for the kind of block
_RUN = 32  # bytes of one value; 27 hold a whole block of 8 x 8 pixels, of which none has an even value
_MOST = 0.5  # more heads than these are wrong where a writer has heads of its own


def _picture_blocks() -> npt.NDArray[np.int64]:
    """Return which blocks of a sequence belong to the picture, in order."""
    return np.array([at for at in range(_FIRST, _SEQUENCE) if (at - _FIRST) % _GROUP])


_PICTURE_BLOCKS = _picture_blocks()


def lost(content: bytes) -> str | None:
    """Return a sentence when blocks of a picture are destroyed, None for nothing.

    Args:
        content: a packet: one frame.
    """
    if not content or len(content) % (_BLOCK * _SEQUENCE):
        return None
    blocks = np.frombuffer(content, np.uint8).reshape(-1, _SEQUENCE, _BLOCK)[:, _PICTURE_BLOCKS]
    wrong = (blocks[..., 0] & _KIND != _PICTURE) | (blocks[..., 2] != np.arange(len(_PICTURE_BLOCKS)))
    if wrong.mean() > _MOST:
        return None
    held = blocks[..., _HEAD:]
    for value in (0, 0xFF):
        wrong |= _has_run(held == value)
    count = int(wrong.sum())
    if not count:
        return None
    return f"{count} {'block is' if count == 1 else 'blocks are'} destroyed: that part of the file was lost"


def _has_run(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return in which rows of the last axis at least `_RUN` values side by side are true."""
    rows = flags.reshape(-1, flags.shape[-1])
    candidates = np.flatnonzero(rows.sum(axis=1) >= _RUN)
    found = np.zeros(len(rows), bool)
    if len(candidates):
        sums = np.cumsum(rows[candidates], axis=1, dtype=np.int64)
        before = np.concatenate([np.zeros((len(sums), 1), np.int64), sums], axis=1)
        found[candidates] = (before[:, _RUN:] - before[:, :-_RUN] == _RUN).any(axis=1)
    return found.reshape(flags.shape[:-1])
