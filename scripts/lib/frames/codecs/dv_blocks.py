"""Find destroyed blocks in pictures of DV by the blocks' headers, because the decoder does not report them.

A frame consists of sequences of 150 blocks of 80 bytes (IEC 61834-2, SMPTE 314M): one header, two blocks of subcode,
three of other data, then nine groups of one block of sound and fifteen of the picture. The first three bytes of a block
give its kind and number.
"""

import numpy as np
import numpy.typing as npt

_BLOCK, _SEQUENCE, _HEAD = 80, 150, 3
_FIRST, _GROUP = 6, 16  # where groups of one block of sound and 15 of the picture begin
_KIND, _PICTURE = 0xE0, 0x80  # the three bits of a block's first byte that give its kind
_RUN = 32  # bytes of one value that are damage
_MOST = 0.5  # if a larger share of headers is wrong, the writer uses other headers


def _picture_blocks() -> npt.NDArray[np.int64]:
    """Return the indexes of the blocks of a sequence that belong to the picture."""
    return np.array([at for at in range(_FIRST, _SEQUENCE) if (at - _FIRST) % _GROUP])


_PICTURE_BLOCKS = _picture_blocks()


def find_loss(content: bytes) -> str | None:
    """Return a sentence if blocks of a picture are destroyed, else None.

    Args:
        content: a packet, which contains one frame.
    """
    if not content or len(content) % (_BLOCK * _SEQUENCE):
        return None
    blocks = np.frombuffer(content, np.uint8).reshape(-1, _SEQUENCE, _BLOCK)[:, _PICTURE_BLOCKS]
    wrong = (blocks[..., 0] & _KIND != _PICTURE) | (blocks[..., 2] != np.arange(len(_PICTURE_BLOCKS)))
    if wrong.mean() > _MOST:
        return None
    bodies = blocks[..., _HEAD:]
    for value in (0, 0xFF):
        wrong |= _has_run(bodies == value)
    count = int(wrong.sum())
    if not count:
        return None
    return f"{count} {'block is' if count == 1 else 'blocks are'} destroyed: that part of the file was lost"


def _has_run(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return for each row of the last axis whether at least `_RUN` consecutive flags are true."""
    rows = flags.reshape(-1, flags.shape[-1])
    candidates = np.flatnonzero(rows.sum(axis=1) >= _RUN)
    found = np.zeros(len(rows), bool)
    if len(candidates):
        sums = np.cumsum(rows[candidates], axis=1, dtype=np.int64)
        before = np.concatenate([np.zeros((len(sums), 1), np.int64), sums], axis=1)
        found[candidates] = (before[:, _RUN:] - before[:, :-_RUN] == _RUN).any(axis=1)
    return found.reshape(flags.shape[:-1])
