"""Decode with NVDEC, the decoder of NVIDIA's GPUs, through PyNvVideoCodec.

Every decoder decodes H.264 and HEVC with 8 bits and 4:2:0 to the same bytes, so pictures are passed on like those
of FFmpeg's decoder. NVDEC fills gaps without an error for the program: any sign of damage ends such a reading with
SuspectedDamage, and the video is read again by the CPU.
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
from scripts.lib.frames.threads import SuspectedDamage

if TYPE_CHECKING:
    from scripts.lib.frames.messages import Message
    from scripts.lib.frames.video_packets import Packet

_log = logging.getLogger(__name__)

# FFmpeg's names of the codecs whose damage NVDEC notes, the library's, and what brings packets into its form.
_CODECS = {"h264": ("H264", "h264_mp4toannexb"), "hevc": ("HEVC", "hevc_mp4toannexb")}
_PIXELS = ("yuv420p", "yuvj420p")
# FFmpeg's orders of fields (AVFieldOrder) of pictures that have none: NVDEC mixes the fields of others. A picture of
# HEVC has none by its coding, whether that is said or not.
_WHOLE = {"h264": (1,), "hevc": (0, 1)}
# The library says on the C library's standard output alone that a picture was damaged.
_DAMAGE = b"Decode Error occurred"
_STDOUT = 1
_LISTENING = threading.Lock()


def load_nvdec(asked: str, environ: Mapping[str, str]) -> ModuleType | None:
    """Return PyNvVideoCodec; None if the CPU is to decode.

    Args:
        asked: detect.decoder: auto, cpu or nvdec.
        environ: the process environment.

    Raises:
        DeviceError: `nvdec` is requested, and is missing.
    """
    if asked == "cpu":
        return None
    lack = missing_gpu(environ)
    if lack is None and importlib.util.find_spec("PyNvVideoCodec") is None:
        lack = "PyNvVideoCodec is not installed"
    if lack is None:
        try:
            return importlib.import_module("PyNvVideoCodec")
        except Exception as error:  # it raises RuntimeError, ImportError and others where the driver lacks a library
            lack = f"PyNvVideoCodec cannot be loaded: {(str(error) or repr(error)).splitlines()[0]}"
    if asked == "nvdec":
        raise DeviceError(
            f"detect.decoder: nvdec: {lack}; expected an NVIDIA GPU, its driver with the capability `video`, and "
            "PyNvVideoCodec (pip install PyNvVideoCodec): or set detect.decoder: auto or cpu"
        )
    _log.info("videos are decoded by the CPU: %s", lack)
    return None


def unfit(stream: av.video.stream.VideoStream, first: av.video.frame.VideoFrame) -> str | None:
    """Return why NVDEC is not to decode a stream; None if it is.

    Args:
        stream: a file's.
        first: its first frame, as the CPU decoded it.
    """
    context = stream.codec_context
    codec = context.codec.canonical_name
    if codec not in _CODECS:
        return f"its codec is {codec}"
    if first.is_corrupt:
        return "its first frame is damaged"
    if first.format.name not in _PIXELS or first.width % 2 or first.height % 2:
        return f"its pictures are {first.format.name} of {first.width} x {first.height}"
    if first.interlaced_frame or context.field_order not in _WHOLE[codec]:
        return "its pictures may be of two fields"
    if first.rotation:
        return f"its pictures are turned by {first.rotation} degrees"
    return None


class NvdecContext:
    """Decodes one stream, in the place of PyAV's context, to which it leaves what it does not know itself."""

    name = "nvdec"

    def __init__(
        self, library: ModuleType, stream: av.video.stream.VideoStream, first: av.video.frame.VideoFrame
    ) -> None:
        """Open the decoder.

        Args:
            library: PyNvVideoCodec.
            stream: of H.264 or HEVC.
            first: its first frame, as the CPU decoded it; NVDEC's is to be the same.

        Raises:
            SuspectedDamage: the GPU cannot decode it.
        """
        kind, form = _CODECS[stream.codec_context.codec.canonical_name]
        self._library, self._context, self._first = library, stream.codec_context, first
        self._width, self._height, self._pixels = first.width, first.height, first.format.name
        self._form = BitStreamFilterContext(form, stream)
        self._sent: dict[int, tuple[int | None, int | None, int, object]] = {}
        self._count = 0
        self._compared = False
        try:
            codec = getattr(library.cudaVideoCodec, kind)
            self._decoder: Any = library.CreateDecoder(gpuid=0, codec=codec, usedevicememory=False)
        except Exception as error:  # its own kind, and pybind11's, derive from it alone
            raise SuspectedDamage(f"NVDEC cannot be opened: {error}") from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def decode(self, packet: "Packet | None") -> list[av.video.frame.VideoFrame]:
        """Hand a packet on, None at the end, and return the frames that are ready.

        Raises:
            SuspectedDamage: something is not as in a sound video.
        """
        if packet is not None:
            self._sent[self._count] = packet.pts, packet.dts, packet.duration or 0, packet.opaque
        coded = b"".join(map(bytes, self._form.filter(packet)))
        frames = self._hand_on(coded, self._count) if coded else []
        self._count += 1
        if packet is None:
            frames += self._hand_on(b"", self._count)
            if self._sent:
                raise SuspectedDamage(f"NVDEC gave no picture for {len(self._sent)} packets")
        return frames

    def _hand_on(self, coded: bytes, number: int) -> list[av.video.frame.VideoFrame]:
        if self._decoder is None:
            return []
        held = np.frombuffer(coded, np.uint8)
        packet = self._library.PacketData()
        packet.bsl_data, packet.bsl, packet.pts = held.ctypes.data if coded else 0, len(coded), number
        try:
            return [self._frame(each) for each in self._decoder.Decode(packet)]
        except SuspectedDamage:
            raise
        except Exception as error:  # its own kind, and pybind11's, derive from it alone
            raise SuspectedDamage(f"NVDEC: {error}") from error

    def _frame(self, decoded: Any) -> av.video.frame.VideoFrame:
        """Return a frame of FFmpeg's with a copy of the picture, whose memory is used again for the next packet."""
        known = self._sent.pop(decoded.getPTS(), None)
        if known is None:
            raise SuspectedDamage("NVDEC gave a picture of an unknown packet")
        size = self._width * self._height * 3 // 2
        if decoded.format != self._library.Pixel_Format.NV12 or decoded.framesize() != size:
            raise SuspectedDamage(
                f"NVDEC gave a picture of {decoded.framesize()} bytes, {decoded.format}; expected {size}, NV12"
            )
        given = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(decoded.GetPtrToPlane(0)))
        frame = av.video.frame.VideoFrame(self._width, self._height, self._pixels)
        rows = given.reshape(-1, self._width)
        colours = rows[self._height :].reshape(self._height // 2, self._width // 2, 2)
        for plane, content in zip(planes(frame), (rows[: self._height], colours[..., 0], colours[..., 1]), strict=True):
            plane[:] = content
        frame.pts, frame.dts, frame.duration, frame.opaque = known
        frame.time_base = self._first.time_base
        frame.colorspace, frame.color_range = self._first.colorspace, self._first.color_range
        if not self._compared:
            self._compare(frame)
        return frame

    def _compare(self, frame: av.video.frame.VideoFrame) -> None:
        """Hold the first frame against the CPU's.

        Raises:
            SuspectedDamage: they differ.
        """
        self._compared = True
        if not all(np.array_equal(one, other) for one, other in zip(planes(frame), planes(self._first), strict=True)):
            raise SuspectedDamage("NVDEC's first picture is not the CPU's")

    def flush_buffers(self) -> None:
        """Give the decoder back; called once nothing is decoded any more."""
        self._decoder = None
        self._sent.clear()


def planes(frame: av.video.frame.VideoFrame) -> list[npt.NDArray[np.uint8]]:
    """Return luma and colours of a frame of three planes with half the colours, without copying."""
    found = []
    for plane, half in zip(frame.planes, (1, 2, 2), strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        found.append(rows[: frame.height // half, : frame.width // half])
    return found


class NvdecWatch:
    """Listens to what NVDEC says of damage; closed once. Only one can be open at a time.

    What goes to standard output meanwhile, of whoever, is written there when it is closed.
    """

    def __init__(self) -> None:
        self._c = ctypes.CDLL(None)
        self._c.fflush(None)
        self._stdout, self._said = os.dup(_STDOUT), os.memfd_create("nvdec")
        os.dup2(self._said, _STDOUT)

    @classmethod
    def open(cls) -> Self | None:
        """Begin to listen; return None if another one is open."""
        return cls() if _LISTENING.acquire(blocking=False) else None

    def sign_of_damage(self, said: "list[Message]") -> str | None:
        """Return the first word of damage; None if there is none.

        Args:
            said: what FFmpeg said to the thread that reads packets.
        """
        for _, _, text in said:
            return text.strip()
        self._c.fflush(None)
        size = os.fstat(self._said).st_size
        if size and _DAMAGE in (printed := os.pread(self._said, size, 0)):
            return f"NVDEC: {printed[printed.index(_DAMAGE) :].splitlines()[0].decode(errors='replace')}"
        return None

    def close(self) -> None:
        """Listen no longer."""
        self._c.fflush(None)
        os.dup2(self._stdout, _STDOUT)
        size = os.fstat(self._said).st_size
        if size:
            os.write(_STDOUT, os.pread(self._said, size, 0))
        os.close(self._stdout)
        os.close(self._said)
        _LISTENING.release()
