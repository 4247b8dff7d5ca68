"""Decode with NVDEC, the decoder of NVIDIA's GPUs, through PyNvVideoCodec.

All decoders give the same bytes for H.264 and HEVC with 8 bits and 4:2:0, so NVDEC's pictures replace those of FFmpeg's
decoder. NVDEC fills gaps without reporting an error to the program. So any sign of damage ends reading with
SuspectedDamage, and the video is read again with the CPU's decoder.
"""

import ctypes
import importlib
import importlib.util
import logging
import os
import threading
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import av.error
import av.video.codeccontext
import av.video.frame
import av.video.stream
import numpy as np
import numpy.typing as npt
from av.bitstream import BitStreamFilterContext

from scripts.lib.engines.onnxruntime.devices import missing_gpu
from scripts.lib.errors import DeviceError
from scripts.lib.frames.codecs.sequence_changes import SequenceChanges
from scripts.lib.frames.rotation import display_matrix
from scripts.lib.frames.shown import matrix_is_plain
from scripts.lib.frames.threads import SuspectedDamage

if TYPE_CHECKING:
    from scripts.lib.frames.ffmpeg import Packet
    from scripts.lib.frames.messages import Message

_log = logging.getLogger(__name__)

# The codecs for which NVDEC reports damage, by FFmpeg's names: PyNvVideoCodec's name, and FFmpeg's bitstream filter
# that converts packets to the format that NVDEC reads.
_CODECS = {"h264": ("H264", "h264_mp4toannexb"), "hevc": ("HEVC", "hevc_mp4toannexb")}
_PIXEL_FORMATS = ("yuv420p", "yuvj420p")
# FFmpeg's field orders (AVFieldOrder) of pictures that are not interlaced: NVDEC mixes the fields of interlaced ones.
# HEVC does not code fields, also if the order is unknown (0).
_PROGRESSIVE = {"h264": (1,), "hevc": (0, 1)}
# The library reports a damaged picture only on the C library's standard output.
_DAMAGE = b"Decode Error occurred"
_STDOUT = 1
_WATCHING = threading.Lock()


def load_nvdec(decoder: str, environ: Mapping[str, str]) -> ModuleType | None:
    """Return PyNvVideoCodec; None if the CPU should decode.

    Args:
        decoder: the setting detect.decoder: auto, cpu or nvdec.
        environ: the process environment.

    Raises:
        DeviceError: `nvdec` is requested, and is not available.
    """
    if decoder == "cpu":
        return None
    missing = missing_gpu(environ)
    if missing is None and importlib.util.find_spec("PyNvVideoCodec") is None:
        missing = "PyNvVideoCodec is not installed"
    if missing is None:
        try:
            return importlib.import_module("PyNvVideoCodec")
        except Exception as error:  # RuntimeError, ImportError or others if the driver lacks a library
            missing = f"PyNvVideoCodec cannot be loaded: {(str(error) or repr(error)).splitlines()[0]}"
    if decoder == "nvdec":
        raise DeviceError(
            f"detect.decoder: nvdec: {missing}; expected an NVIDIA GPU, its driver with the capability `video`, and "
            "PyNvVideoCodec (pip install PyNvVideoCodec): or set detect.decoder: auto or cpu"
        )
    _log.info("videos are decoded by the CPU: %s", missing)
    return None


def unsupported(stream: av.video.stream.VideoStream, first: av.video.frame.VideoFrame) -> str | None:
    """Return why NVDEC should not decode a stream; None if it should.

    Args:
        stream: a file's video stream.
        first: the stream's first frame, decoded by the CPU.
    """
    context = stream.codec_context
    codec = context.codec.canonical_name
    if codec not in _CODECS:
        return f"its codec is {codec}"
    if first.is_corrupt:
        return "its first frame is damaged"
    if first.format.name not in _PIXEL_FORMATS or first.width % 2 or first.height % 2:
        return f"its pictures are {first.format.name} of {first.width} x {first.height}"
    if first.interlaced_frame or context.field_order not in _PROGRESSIVE[codec]:
        return "its pictures may be of two fields"
    if first.rotation or not matrix_is_plain(display_matrix(first, codec)):
        return "its pictures are turned or mirrored"
    return None


class NvdecContext:
    """Decodes one stream; replaces PyAV's codec context, whose other attributes it passes on."""

    name = "nvdec"

    def __init__(
        self, library: ModuleType, stream: av.video.stream.VideoStream, first: av.video.frame.VideoFrame
    ) -> None:
        """Open the decoder.

        Args:
            library: PyNvVideoCodec.
            stream: a stream of H.264 or HEVC.
            first: the stream's first frame, decoded by the CPU; NVDEC's first frame must be equal.

        Raises:
            SuspectedDamage: the GPU cannot decode the stream.
        """
        kind, form = _CODECS[stream.codec_context.codec.canonical_name]
        self._library, self._context, self._first = library, stream.codec_context, first
        self._width, self._height, self._pixels = first.width, first.height, first.format.name
        self._form = BitStreamFilterContext(form, stream)
        self._changes = SequenceChanges(stream.codec_context.codec.canonical_name)
        self._sent: dict[int, tuple[int | None, int | None, int, object]] = {}
        self._count = 0
        self._compared = False
        try:
            codec = getattr(library.cudaVideoCodec, kind)
            self._decoder: Any = library.CreateDecoder(gpuid=0, codec=codec, usedevicememory=False)
        except Exception as error:  # the library's and pybind11's exceptions have no other base class
            raise SuspectedDamage(f"NVDEC cannot be opened: {error}") from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def decode(self, packet: "Packet | None") -> list[av.video.frame.VideoFrame]:
        """Send a packet to the decoder and return the frames that are ready.

        Args:
            packet: the packet; None at the stream's end.

        Raises:
            SuspectedDamage: there is a fault that an undamaged video does not have.
        """
        if packet is not None:
            self._sent[self._count] = packet.pts, packet.dts, packet.duration or 0, packet.opaque
        coded = b"".join(map(bytes, self._form.filter(packet)))
        # NVDEC scales later pictures to the size of the first, and says nothing of their colours and their rotation.
        if change := self._changes.change(coded):
            raise SuspectedDamage(f"in mid-stream, NVDEC cannot follow {change}")
        frames = self._send(coded, self._count) if coded else []
        self._count += 1
        if packet is None:
            frames += self._send(b"", self._count)
            if self._sent:
                raise SuspectedDamage(f"NVDEC gave no picture for {len(self._sent)} packets")
        return frames

    def _send(self, coded: bytes, number: int) -> list[av.video.frame.VideoFrame]:
        if self._decoder is None:
            return []
        content = np.frombuffer(coded, np.uint8)
        packet = self._library.PacketData()
        packet.bsl_data, packet.bsl, packet.pts = content.ctypes.data if coded else 0, len(coded), number
        try:
            return [self._frame(each) for each in self._decoder.Decode(packet)]
        except SuspectedDamage:
            raise
        except Exception as error:  # the library's and pybind11's exceptions have no other base class
            raise SuspectedDamage(f"NVDEC: {error}") from error

    def _frame(self, decoded: Any) -> av.video.frame.VideoFrame:
        """Return a PyAV frame with a copy of the picture, whose memory is reused for the next packet."""
        sent = self._sent.pop(decoded.getPTS(), None)
        if sent is None:
            raise SuspectedDamage("NVDEC gave a picture of an unknown packet")
        size = self._width * self._height * 3 // 2
        if decoded.format != self._library.Pixel_Format.NV12 or decoded.framesize() != size:
            raise SuspectedDamage(
                f"NVDEC gave a picture of {decoded.framesize()} bytes, {decoded.format}; expected {size}, NV12"
            )
        nv12 = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(decoded.GetPtrToPlane(0)))
        frame = av.video.frame.VideoFrame(self._width, self._height, self._pixels)
        rows = nv12.reshape(-1, self._width)
        chroma = rows[self._height :].reshape(self._height // 2, self._width // 2, 2)
        for plane, content in zip(planes(frame), (rows[: self._height], chroma[..., 0], chroma[..., 1]), strict=True):
            plane[:] = content
        frame.pts, frame.dts, frame.duration, frame.opaque = sent
        frame.time_base = self._first.time_base
        frame.colorspace, frame.color_range = self._first.colorspace, self._first.color_range
        if not self._compared:
            self._compare(frame)
        return frame

    def _compare(self, frame: av.video.frame.VideoFrame) -> None:
        """Compare the first frame with the CPU's.

        Raises:
            SuspectedDamage: they differ.
        """
        self._compared = True
        if not all(np.array_equal(one, other) for one, other in zip(planes(frame), planes(self._first), strict=True)):
            raise SuspectedDamage("NVDEC's first picture is not the CPU's")

    def flush_buffers(self) -> None:
        """Release the decoder; nothing can be decoded afterwards."""
        self._decoder = None
        self._sent.clear()


def planes(frame: av.video.frame.VideoFrame) -> list[npt.NDArray[np.uint8]]:
    """Return the luma and chroma planes of a YUV 4:2:0 frame, without copying."""
    found = []
    for plane, half in zip(frame.planes, (1, 2, 2), strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        found.append(rows[: frame.height // half, : frame.width // half])
    return found


class NvdecWatch:
    """Captures the process's standard output to find NVDEC's messages about damage.

    Only one can be open at a time, and it is closed once. Closing writes all captured output to standard output.
    """

    def __init__(self) -> None:
        self._c = ctypes.CDLL(None)
        self._c.fflush(None)
        self._stdout, self._captured = os.dup(_STDOUT), os.memfd_create("nvdec")
        os.dup2(self._captured, _STDOUT)

    @classmethod
    def open(cls) -> Self | None:
        """Start to capture standard output; return None if another watch is open."""
        return cls() if _WATCHING.acquire(blocking=False) else None

    def sign_of_damage(self, messages: "list[Message]") -> str | None:
        """Return the first message about damage; None if there is none.

        Args:
            messages: FFmpeg's messages on the thread that reads packets.
        """
        for _, _, text in messages:
            return text.strip()
        self._c.fflush(None)
        size = os.fstat(self._captured).st_size
        if size and _DAMAGE in (printed := os.pread(self._captured, size, 0)):
            return f"NVDEC: {printed[printed.index(_DAMAGE) :].splitlines()[0].decode(errors='replace')}"
        return None

    def close(self) -> None:
        """Restore standard output, and write the captured output to it."""
        self._c.fflush(None)
        os.dup2(self._stdout, _STDOUT)
        size = os.fstat(self._captured).st_size
        if size:
            os.write(_STDOUT, os.pread(self._captured, size, 0))
        os.close(self._stdout)
        os.close(self._captured)
        _WATCHING.release()
