"""Compute the decoded length of LZW data of GIF and TIFF, without decoding them."""

from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

_MOST = 4096  # codes have 12 bits at most
# The first codes of a table are read one by one: tables may be this short, for which arrays are too slow.
_FEW = 64
_Order = Literal["big", "little"]


class LzwCounts(NamedTuple):
    """The decoded length of LZW data.

    Attributes:
        length: number of decoded bytes or pixels.
        valid: whether each code was defined when it was used.
    """

    length: int
    valid: bool


def count(data: bytes, *, bits: int, order: _Order, early: int) -> LzwCounts:
    """Return the decoded length of LZW data.

    Args:
        data: the compressed data.
        bits: bits of a value; the first codes have one more.
        order: order of the bits in a byte: big in TIFF, little in GIF.
        early: 1 if the width of codes grows one code earlier than necessary, as in TIFF, else 0.
    """
    # Padding, so that each code can be read from three bytes.
    padded = np.concatenate([np.frombuffer(data, np.uint8), np.zeros(4, np.uint8)])
    total, at, limit = 0, 0, len(data) * 8
    clear, ends = 1 << bits, _ends(bits, early)
    few, longer = _few(bits, early), data + bytes(4)
    while at + bits + 1 <= limit:
        few_codes = _read_few(longer, at, limit, few, _Layout(bits, early, order, at & 7))
        if few_codes[-1] >> 1 == clear >> 1:
            length, valid = _few_length(few_codes[:-1], bits)
            total += length
            if not valid or few_codes[-1] != clear:
                return LzwCounts(total, valid)
            at += few[len(few_codes) - 1][1]
            continue
        fit = int(np.searchsorted(ends, limit - at, "right"))
        # Most encoders begin a new table when the current one is full.
        for most in (min(fit, _MOST), fit):
            codes = _codes(padded[at >> 3 :], _Layout(bits, early, order, at & 7), most)
            # The clear code is even; the next code is the end code.
            stops = np.flatnonzero(codes >> 1 == clear >> 1)
            if len(stops) or most == fit:
                break
        before_stop = int(stops[0]) if len(stops) else len(codes)
        length, valid = _length(codes[:before_stop], bits)
        total += length
        if not valid or not len(stops):
            return LzwCounts(total, valid)
        if codes[before_stop] != clear:
            break
        at += int(ends[before_stop])
    return LzwCounts(total, valid=True)


class _Layout(NamedTuple):
    """The layout of codes in the data.

    Attributes:
        bits: see count.
        early: see count.
        order: see count.
        phase: number of bits of the first byte that are before the first code.
    """

    bits: int
    early: int
    order: _Order
    phase: int


@cache
def _few(bits: int, early: int) -> list[tuple[int, int]]:
    """Return the width of each of the first codes after a clear code, and the bit after its end."""
    return [*zip(_widths(bits, early)[:_FEW].tolist(), _ends(bits, early)[:_FEW].tolist(), strict=True)]


def _read_few(data: bytes, at: int, limit: int, few: list[tuple[int, int]], layout: _Layout) -> list[int]:
    """Return the first codes after a clear code, up to and including the next clear code or end code.

    Args:
        data: the compressed data, with four bytes of padding.
        at: the first code's first bit.
        limit: number of bits of the data.
        few: widths and ends of the first codes, see _few.
        layout: the layout of the codes.
    """
    codes: list[int] = []
    for width, end in few:
        if at + end > limit:
            break
        place = at + end - width
        window, phase = int.from_bytes(data[place >> 3 : (place >> 3) + 3], layout.order), place & 7
        code = window >> (phase if layout.order == "little" else 24 - phase - width) & (1 << width) - 1
        codes.append(code)
        if code >> 1 == 1 << layout.bits >> 1:
            break
    return codes


def _few_length(codes: list[int], bits: int) -> tuple[int, bool]:
    """Return the same as _length, for a few codes."""
    lengths: list[int] = []
    for number, code in enumerate(codes):
        parent = code - ((1 << bits) + 2)
        if parent >= number:
            return 0, False
        lengths.append(lengths[parent] + 1 if parent >= 0 else 1)
    return sum(lengths), True


def _windows(content: npt.NDArray[np.uint8], order: _Order) -> npt.NDArray[np.int64]:
    """Return for each byte the number of 24 bits that begins with it; it contains any code that begins in the byte."""
    numbers = content.astype(np.int64)
    first, second, third = numbers[:-2], numbers[1:-1], numbers[2:]
    if order == "little":
        return first | second << 8 | third << 16
    return first << 16 | second << 8 | third


@cache
def _widths(bits: int, early: int) -> npt.NDArray[np.int64]:
    """Return the width of each code after a clear code.

    In GIF a full table may stay in use; a million of its codes are read.
    """
    free = (1 << bits) + 2 + np.maximum(np.arange(1 << 20, dtype=np.int64) - 1, 0)  # the next entry of the table
    widths = np.full(len(free), 12, np.int64)
    for width in range(11, bits, -1):
        widths[free < (1 << width) - early] = width
    return widths


@cache
def _ends(bits: int, early: int) -> npt.NDArray[np.int64]:
    """Return how many bits after a clear code each code ends."""
    return np.cumsum(_widths(bits, early))


def _place_codes(layout: _Layout, most: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Return for each of `most` codes its first byte, by how much to shift that byte's window, and the mask."""
    bits, early, order, phase = layout
    widths = _widths(bits, early)[:most]
    starts = phase + _ends(bits, early)[:most] - widths
    shifts = starts & 7 if order == "little" else 24 - (starts & 7) - widths
    return starts >> 3, shifts, (1 << widths) - 1


@cache
def _first_codes(layout: _Layout) -> tuple[npt.NDArray[np.int64], ...]:
    return _place_codes(layout, _MOST)


def _codes(content: npt.NDArray[np.uint8], layout: _Layout, most: int) -> npt.NDArray[np.int64]:
    places, shifts, masks = _first_codes(layout) if most <= _MOST else _place_codes(layout, most)
    windows = _windows(content[: places[most - 1] + 3], layout.order)
    codes: npt.NDArray[np.int64] = windows[places[:most]]
    codes >>= shifts[:most]
    codes &= masks[:most]
    return codes


@cache
def _known(bits: int) -> npt.NDArray[np.int64]:
    """Return how many entries of the table are defined at each of the first codes."""
    return np.minimum(np.arange(1 << 20), _MOST - (1 << bits) - 2)


def _length(codes: npt.NDArray[np.int64], bits: int) -> tuple[int, bool]:
    """Return the decoded length of the codes between two clear codes, and whether each is defined."""
    # An entry of the table is the decoded value of an earlier code, its parent, and one value more.
    parents = codes - ((1 << bits) + 2)
    if (parents >= _known(bits)[: len(parents)]).any():
        return 0, False
    lengths = np.ones(len(codes), np.int64)
    live = np.flatnonzero(parents >= 0)
    # Each round doubles the distance to the parents.
    while live.size:
        above = parents[live]
        lengths[live] += lengths[above]
        further = parents[above]
        parents[live] = further
        live = live[further >= 0]
    return int(lengths.sum()), True
