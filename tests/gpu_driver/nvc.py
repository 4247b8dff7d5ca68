"""A stand-in for the module `PyNvVideoCodec`, which really decodes: with FFmpeg, into memory that is reused.

Like the real module, it returns a damaged picture without an error, and reports it only on C's standard output. It
scales pictures of another size to that of the first one, and copies their numbers, whatever their colours.
"""

import ctypes
import enum
from types import ModuleType
from typing import Any

import av
import av.error
import numpy as np
from av.video.codeccontext import VideoCodecContext

from scripts.lib.frames.nvdec import planes
from tests.gpu_driver.strict import Calls, Misuse, checked_function, read_api, strict

VERSION = "2.2.4"
_POISON = 0xA5
_START_CODES = (b"\0\0\0\1", b"\0\0\1")


def make_nvc(calls: Calls, *, wrong: str | None = None) -> ModuleType:  # noqa: C901 - it is a module's worth of classes
    """Return a module `PyNvVideoCodec`.

    Args:
        calls: records the calls, of which one may fail.
        wrong: a further fault: `picture`, `time`, or `word` (damage is reported although there is none).
    """
    api = read_api("pynvvideocodec", VERSION)
    module: Any = ModuleType("PyNvVideoCodec")
    for name, members in api["enums"].items():
        setattr(module, name, enum.Enum(name, members))
    module.PyNvVCException = type("PyNvVCException", (Exception,), {})

    def before(name: str, returns: str, call: Any) -> Any:
        if calls.next_fails(name):
            raise module.PyNvVCException(f"{name} failed: on purpose")
        return call()

    class PacketData:
        def __init__(self) -> None:
            self.bsl = self.bsl_data = self.pts = 0

        def __setattr__(self, name: str, value: Any) -> None:
            if api["classes"]["PacketData"]["properties"].get(name) != "read-write" or not isinstance(value, int):
                raise Misuse(f"PacketData.{name} cannot be {value!r}")
            object.__setattr__(self, name, value)

    class DecodedFrame:
        def __init__(self, content: np.ndarray, pts: int) -> None:
            object.__setattr__(self, "_content", content)
            object.__setattr__(self, "_pts", pts)

        @property
        def format(self) -> Any:
            return module.Pixel_Format.NV12

        def framesize(self) -> int:
            return self._content.nbytes

        def getPTS(self) -> int:
            return self._pts

        def GetPtrToPlane(self, arg0: int) -> int:
            if arg0 != 0:
                raise Misuse("only the first plane may be requested")
            return int(self._content.ctypes.data)

    class PyNvDecoder:
        def __init__(self, codec: str) -> None:
            decoder = av.CodecContext.create(codec, "r")
            assert isinstance(decoder, VideoCodecContext)
            decoder.thread_count = 1
            object.__setattr__(self, "_decoder", decoder)
            object.__setattr__(self, "_given", [])
            object.__setattr__(self, "_size", [])

        def Decode(self, arg0: PacketData) -> list[DecodedFrame]:
            for content in self._given:
                content[:] = _POISON
            self._given.clear()
            return [self._shown(frame) for frame in self._frames(arg0)]

        def _frames(self, packet: PacketData) -> list[av.VideoFrame]:
            if not packet.bsl:
                return self._decoder.decode(None)
            coded = ctypes.string_at(packet.bsl_data, packet.bsl)
            if not coded.startswith(_START_CODES):
                raise Misuse("a packet does not begin with a start code")
            coded_packet = av.Packet(coded)
            coded_packet.pts = packet.pts
            try:
                return self._decoder.decode(coded_packet)
            except av.error.FFmpegError:
                _print_damage(packet.pts)
                return []

        def _shown(self, frame: av.VideoFrame) -> DecodedFrame:
            if frame.is_corrupt or (wrong == "word" and (frame.pts or 0) > 3):
                _print_damage(frame.pts or 0)
            self._size.append((frame.width, frame.height))
            content = _nv12(frame.reformat(*self._size[0]))
            if wrong == "picture":
                content[0] ^= 1
            self._given.append(content)
            return DecodedFrame(content, 10**6 if wrong == "time" else frame.pts or 0)

    for kind in (DecodedFrame, PyNvDecoder):
        found = api["classes"][kind.__name__]
        methods = {name: overloads for name, overloads in found["methods"].items() if name != "__init__"}
        strict(kind, found | {"methods": methods}, before)
        setattr(module, kind.__name__, kind)
    module.PacketData = PacketData

    def CreateDecoder(gpuid: int = 0, codec: Any = None, *, usedevicememory: bool = False) -> PyNvDecoder:
        if usedevicememory:
            raise Misuse("the pictures are read as memory of the host")
        return PyNvDecoder({"H264": "h264", "HEVC": "hevc"}[codec.name])

    checked = checked_function("CreateDecoder", CreateDecoder, api["functions"]["CreateDecoder"], before)
    module.CreateDecoder = checked.__func__
    return module


def _nv12(frame: av.VideoFrame) -> np.ndarray:
    """Return luma and mixed chroma, as they are coded."""
    luma, *chroma = planes(frame)
    return np.concatenate([luma.reshape(-1), np.stack(chroma, axis=-1).reshape(-1)])


def _print_damage(picture: int) -> None:
    ctypes.CDLL(None).printf(b"Decode Error occurred for picture %d\n", ctypes.c_int(picture))
