"""How many bytes LZW data stand for, as GIF and TIFF have them, without decoding them."""

from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

_MOST = 4096  # codes have 12 bits at most
_Order = Literal["big", "little"]


class Counted(NamedTuple):
    """What LZW data stand for.

    Attributes:
        length: how many bytes or pixels they become.
        ended: they end with the code for it.
        sound: each code was known where it stands.
    """

    length: int
    ended: bool
    sound: bool


def count(data: bytes, *, bits: int, order: _Order, early: int) -> Counted:
    """Return how long LZW data become.

    Args:
        data: the compressed data.
        bits: of a value; the first codes have one more.
        order: of the bits in a byte: big in TIFF, little in GIF.
        early: 1 where codes grow one code before they must, as in TIFF, else 0.
    """
    bytes_ = np.frombuffer(data, np.uint8)
    # Three more bytes, so that each code can be taken out of four.
    padded = np.concatenate([bytes_, np.zeros(4, np.uint8)]).astype(np.uint32)
    total, at, limit = 0, 0, len(data) * 8
    widths, offsets = _schedule(bits, early)
    while at + bits + 1 <= limit:
        fit = int(np.searchsorted(offsets + widths, limit - at, "right"))
        # Most encoders begin a new table when the first is full.
        for most in (min(fit, _MOST), fit):
            codes = _codes(padded, at + offsets[:most], widths[:most], order)
            stops = np.flatnonzero((codes == 1 << bits) | (codes == (1 << bits) + 1))
            if len(stops):
                break
        taken = int(stops[0]) if len(stops) else len(codes)
        length, sound = _length(codes[:taken], bits)
        total += length
        if not sound or not len(stops):
            return Counted(total, ended=False, sound=sound)
        if codes[taken] != 1 << bits:
            return Counted(total, ended=True, sound=True)
        at += int(offsets[taken] + widths[taken])
    return Counted(total, ended=False, sound=True)


@cache
def _schedule(bits: int, early: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the width of each code after a clear code, and how many bits stand before it.

    In GIF a full table may stay in use; a million codes of one are followed.
    """
    free = (1 << bits) + 2 + np.maximum(np.arange(1 << 20, dtype=np.int64) - 1, 0)  # the next entry of the table
    widths = np.full(len(free), 12, np.int64)
    for width in range(11, bits, -1):
        widths[free < (1 << width) - early] = width
    return widths, np.concatenate([[0], np.cumsum(widths)[:-1]])


def _codes(
    padded: npt.NDArray[np.uint32], starts: npt.NDArray[np.int64], widths: npt.NDArray[np.int64], order: _Order
) -> npt.NDArray[np.int64]:
    place, shift = starts >> 3, starts & 7
    parts = [padded[place + number] for number in range(3)]
    if order == "little":
        window = parts[0] | parts[1] << np.uint32(8) | parts[2] << np.uint32(16)
        found = window >> shift.astype(np.uint32)
    else:
        window = parts[0] << np.uint32(16) | parts[1] << np.uint32(8) | parts[2]
        found = window >> (24 - shift - widths).astype(np.uint32)
    codes: npt.NDArray[np.int64] = (found & ((1 << widths) - 1).astype(np.uint32)).astype(np.int64)
    return codes


def _length(codes: npt.NDArray[np.int64], bits: int) -> tuple[int, bool]:
    """Return the length of what the codes between two clear codes stand for, and whether each is known."""
    first = (1 << bits) + 2
    # Code n of the table is what the code n - first stood for, and one value more.
    parents = codes - first
    if (parents >= np.minimum(np.arange(len(codes)), _MOST - first)).any():
        return 0, False
    lengths = np.ones(len(codes), np.int64)
    # Each round doubles how far back the parents lie.
    while (live := np.flatnonzero(parents >= 0)).size:
        above = parents[live]
        lengths[live] += lengths[above]
        parents[live] = parents[above]
    return int(lengths.sum()), True
