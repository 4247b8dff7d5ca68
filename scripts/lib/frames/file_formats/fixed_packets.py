"""Find the packets of MPEG transport streams and ASF files (WMV), which have a fixed size.

FFmpeg skips to the next packet that it can read, and drops encrypted ones, without a message.
"""

from pathlib import Path

import numpy as np

from scripts.lib.frames.file_formats.asf_packets import AsfPackets, asf_grid
from scripts.lib.frames.file_formats.packet_grid import Content, FixedPackets
from scripts.lib.frames.file_formats.transport_packets import TransportPackets, transport_grid


def fixed_packets(path: Path, format_name: str, stream_id: int) -> FixedPackets | None:
    """Return the packets of a file; None if its format has no such packets, or their grid is not found.

    Args:
        path: the file.
        format_name: FFmpeg's name of its format.
        stream_id: the video's number in the file; in a transport stream its PID.
    """
    if format_name not in ("mpegts", "asf"):
        return None
    data = _mapped_bytes(path)
    if format_name == "asf":
        grid = asf_grid(data)
        return grid and AsfPackets(data, grid, stream_id)
    grid = transport_grid(data)
    return grid and TransportPackets(data, grid, stream_id)


def _mapped_bytes(path: Path) -> Content:
    """Return a file's bytes as an array, without reading them into memory."""
    # An ordinary array, as slices of a memmap take twice as long.
    return np.asarray(np.memmap(path, np.uint8, "r")) if path.stat().st_size else np.zeros(0, np.uint8)
