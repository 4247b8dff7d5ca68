"""Still pictures, as browsers show them."""

from collections.abc import Iterator
from pathlib import Path

import av.container
import av.error
import cv2
import numpy as np

from scripts.lib.errors import MediaFault
from scripts.lib.frames import ffmpeg, messages
from scripts.lib.frames.codecs.av1_pictures import frames_in
from scripts.lib.frames.damage import codestream, find_damage, jpeg, png, tiff
from scripts.lib.frames.rotation import Matrix, display_matrix, upright
from scripts.lib.frames.source import FrameSource, Picture, check_disk, check_file, check_size
from scripts.lib.frames.stills.picture_kinds import HEAD_BYTES, JPEG, TAIL_BYTES, check_jpeg, check_start, kind_of
from scripts.lib.frames.stills.plain_jpeg import plain_content, plain_size
from scripts.lib.frames.stills.pnm import in_full_range
from scripts.lib.frames.stills.tiff_alpha import with_stored_colours

# Frames in one AVIF picture. Each layer is a frame, and there are few layers. A frame may be as short as 20 bytes, but
# decoding it takes as long as a whole picture.
MOST_AVIF_FRAMES = 100
_USUAL_STRUCTURE = 1  # bytes per pixel for a JPEG 2000's structure that ffmpeg.picture_pixel_bytes includes
_WEBP_HEADER = 30
_BY_CONTENT = "_pipe"  # ending of FFmpeg's names of picture formats
_CONVERT = "convert it, for example to PNG"


class StillFrames(FrameSource):
    """A picture as a media of one frame.

    Tator accepts as an image any file that Pillow can open. Here the common formats are supported: JPEG, PNG, WebP,
    AVIF, GIF, TIFF, BMP, JPEG 2000 and PNM, but not HEIC, raw formats of cameras and floating-point pictures. Tator
    stores digital negatives (DNG) as PNG. It also stores an AVIF copy of each picture, which is not used.

    FFmpeg reads the format and the size from the header, except for plain JPEG files (plain_jpeg.py). OpenCV decodes
    the picture with the libraries that browsers use, and turns it by its EXIF orientation; AVIF pictures are turned by
    their transformation properties. OpenCV ignores some damage, which the package `damage` finds; the picture is
    returned nevertheless. Transparency is dropped, 16 bits become 8, grey and palettes become BGR, and only the first
    picture of an animation or of several pages is read.

    Attributes:
        bytes_needed: memory in bytes that decoding takes at its peak, including the file after `load`.
    """

    def __init__(self, media: Path | bytes) -> None:
        """Read the header of a file.

        Args:
            media: path or content of the file.

        Raises:
            MediaFault: it is not a picture that can be decoded, or too large.
            OSError: it cannot be read.
        """
        super().__init__()
        self._media = media
        self.summary.declared = self.summary.expected = 1
        self._matrix: Matrix | None = None
        self._is_plain = False
        self.bytes_needed = 0.0
        check_file(len(media) if isinstance(media, bytes) else media.stat().st_size)
        if (content := plain_content(media)) and (size := plain_size(content)) is not None:
            self._media, self._kind, self._is_plain = content, "JPEG", True
            self._pixel_bytes = ffmpeg.picture_pixel_bytes(content[:HEAD_BYTES])
            self._take_size(*size)
            return
        self._pixel_bytes = ffmpeg.picture_pixel_bytes(self._content(HEAD_BYTES))
        if self._content(len(png.SIGNATURE)) == png.SIGNATURE:
            png.check_metadata(self._content())
        if tiff.is_big(self._content(tiff.SIGNATURE)):
            self._kind = "TIFF"
            self._check_tiff()
            return
        check_start(self._content(HEAD_BYTES), self._tail())
        form = None
        if self._content(len(JPEG)) == JPEG:
            check_jpeg(self._content())
            form = "jpeg_pipe"  # FFmpeg mistakes a small JPEG with another one after it for a video
        with messages.Captured() as captured:
            opened = ffmpeg.open_media(media, form=form)
        with opened as container:
            self._read_header(container, captured)

    def _read_header(self, container: av.container.InputContainer, captured: list[messages.Message]) -> None:
        """Read the format and the size of a picture.

        Args:
            container: the opened file.
            captured: FFmpeg's messages from opening the file.
        """
        name = container.format.name
        if not ffmpeg.is_still(container):
            raise MediaFault("unsupported", f"expected a picture, but it is not one ({name})")
        streams = container.streams.video
        context = getattr(streams[0], "codec_context", None) if streams else None
        if context is None and streams and name.endswith(_BY_CONTENT):
            kind_of(name.removesuffix(_BY_CONTENT))  # FFmpeg has no decoder for it
        if context is None:
            raise MediaFault("unreadable", f"the picture ({name}) cannot be read")
        if size := messages.too_large(captured):
            check_size(*size, self._pixel_bytes)
        self._kind = kind_of(context.codec.canonical_name)
        if self._kind == "TIFF":
            self._check_tiff()
            return
        width, height = context.width, context.height
        if not width and self._kind == "WebP":
            width, height = _webp_canvas(self._content(_WEBP_HEADER))  # FFmpeg does not read animations
        if not width or not height:
            raise MediaFault("unreadable", f"the picture is damaged: its header ({name}) gives no size")
        self._take_size(width, height)
        if self._kind == "AVIF":
            _check_avif_frames(self._media)
            self._matrix = _avif_matrix(container)

    def _take_size(self, width: int, height: int) -> None:
        if self._kind == "JPEG 2000":
            structure = codestream.structure_bytes(self._content()) / (width * height)
            self._pixel_bytes += max(0, structure - _USUAL_STRUCTURE)
        check_size(width, height, self._pixel_bytes)
        self.bytes_needed = width * height * self._pixel_bytes

    def load(self) -> None:
        """Read the file into memory, so that it can be removed before it is decoded."""
        self._media = self._content()
        self.bytes_needed += 2 * len(self._media)

    def _check_tiff(self) -> None:
        """Refuse a TIFF that cannot be decoded: OpenCV returns black pictures for unknown compressions."""
        content = self._content()
        header = tiff.read_header(content)
        if header is None:
            raise MediaFault("unreadable", "the picture is damaged: its header (tiff) gives no size")
        self._take_size(header.width, header.height)
        if way := tiff.unsupported(content):
            raise MediaFault("unsupported", f"{way}; {_CONVERT}")
        tiff.check_parts(content)

    def __iter__(self) -> Iterator[tuple[int, Picture]]:
        picture = self._decode()
        height, width = picture.shape[:2]
        check_size(width, height, self._pixel_bytes)
        yield self.summary.add_frame(picture), picture
        self.summary.read_to_end = True

    def _decode(self) -> Picture:
        """Return the picture; record damage in the summary."""
        content = self._content()
        if self._kind == "JPEG" and not self._is_plain:  # a plain JPEG has one scan
            jpeg.check_scans(content)
        undamaged = jpeg.decode_whole(content) if self._kind == "JPEG" else None
        if undamaged is not None:
            return undamaged
        # OpenCV may corrupt its memory with some animations, and only the first picture is needed.
        pixels = png.without_animation(content) if self._kind == "PNG" else content
        if self._kind == "TIFF":
            pixels = with_stored_colours(content)
        flags = cv2.IMREAD_COLOR
        if self._kind == "AVIF":
            flags |= cv2.IMREAD_IGNORE_ORIENTATION  # the file's properties already contain the orientation
        if self._kind in ("TIFF", "PNM"):
            flags |= cv2.IMREAD_ANYDEPTH  # without it, signed values become black, and 12 bits almost black
        try:
            decoded = cv2.imdecode(np.frombuffer(pixels, np.uint8), flags)
        except cv2.error as error:
            raise MediaFault("unreadable", f"the picture cannot be decoded: {error}") from error
        # OpenCV returns None for a file that it cannot decode, despite its annotations.
        if not isinstance(decoded, np.ndarray) and self._kind == "JPEG" and not jpeg.find_damage(content + jpeg.END):
            decoded = cv2.imdecode(np.frombuffer(content + jpeg.END, np.uint8), flags)
        if not isinstance(decoded, np.ndarray) and self._kind == "JPEG 2000":
            # A bare codestream has no colour space, and OpenCV does not convert a single component to BGR.
            grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
            decoded = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR) if isinstance(grey, np.ndarray) else grey
        if not isinstance(decoded, np.ndarray):
            raise _not_decoded(self._kind, content)
        picture = self._in_8_bits(decoded, content)
        if damage := find_damage(self._kind, content):
            self.summary.add_error("the picture", damage)
        return picture if self._matrix is None else upright(picture, self._matrix)

    def _in_8_bits(self, decoded: np.ndarray, content: bytes) -> Picture:
        if self._kind == "PNM":
            return in_full_range(decoded, content)
        if decoded.dtype == np.uint16:
            decoded = decoded // 256
        elif decoded.dtype != np.uint8:
            raise MediaFault("unsupported", f"{tiff.described(content)}; expected 8 or 16 bits, unsigned; {_CONVERT}")
        return np.asarray(decoded, np.uint8)

    def _content(self, count: int | None = None) -> bytes:
        """Return the file's first bytes, or all of them.

        Raises:
            MediaFault: its disk cannot read the file.
            OSError: it cannot be read for another reason.
        """
        if isinstance(self._media, bytes):
            return self._media[:count]
        try:
            with self._media.open("rb") as stream:
                return stream.read(count)
        except OSError as error:
            check_disk(error)
            raise

    def _tail(self) -> bytes:
        """Return the file's last bytes."""
        if isinstance(self._media, bytes):
            return self._media[-TAIL_BYTES:]
        with self._media.open("rb") as stream:
            stream.seek(max(0, self._media.stat().st_size - TAIL_BYTES))
            return stream.read()

    def close(self) -> None:
        """Do nothing: no file is open."""


def _not_decoded(kind: str, content: bytes) -> MediaFault:
    """Return why OpenCV does not decode a picture: its compression is not supported, or it is damaged."""
    if kind == "JPEG" and (way := jpeg.unsupported(content)):
        return MediaFault("unsupported", f"{way}; {_CONVERT}")
    damage = find_damage(kind, content)
    if damage is None and kind == "TIFF":
        return MediaFault("unsupported", f"{tiff.described(content)}, which OpenCV does not decode; {_CONVERT}")
    # For JPEG 2000, find_damage has used FFmpeg already.
    if damage is None and (kind == "JPEG 2000" or _is_decoded_by_ffmpeg(content)):
        return MediaFault("unsupported", f"OpenCV does not decode this sort of {kind}; {_CONVERT}")
    return MediaFault("unreadable", f"the picture is damaged: {damage or 'OpenCV cannot decode it'}")


def _is_decoded_by_ffmpeg(content: bytes) -> bool:
    """Return whether FFmpeg decodes a picture without a warning."""
    try:
        with messages.Captured() as captured, ffmpeg.open_media(content) as container:
            decoded = any(True for _ in container.decode(video=0))
    except (MediaFault, av.error.FFmpegError):
        return False
    return decoded and not captured


def _webp_canvas(header: bytes) -> tuple[int, int]:
    """Return width and height from the header of an extended WebP file, (0, 0) for other files."""
    if header[12:16] != b"VP8X":
        return 0, 0
    return int.from_bytes(header[24:27], "little") + 1, int.from_bytes(header[27:30], "little") + 1


def _check_avif_frames(media: Path | bytes) -> None:
    """Refuse a picture that would take hours to decode: libaom decodes all frames of a packet and returns the last."""
    with ffmpeg.open_media(media) as container:
        try:
            packets = [frames_in(bytes(packet)) for packet in container.demux() if packet.size]
        except av.error.FFmpegError as error:
            raise MediaFault("unreadable", f"FFmpeg cannot read it: {ffmpeg.reason(error)}") from error
    if (count := max(packets, default=0)) > MOST_AVIF_FRAMES:
        raise MediaFault(
            "unsupported", f"it is an AVIF of {count} frames in one picture; at most {MOST_AVIF_FRAMES} are taken"
        )


def _avif_matrix(container: av.container.InputContainer) -> Matrix | None:
    """Return the display matrix of the file's properties, which OpenCV ignores."""
    try:
        for frame in container.decode(video=0):
            return display_matrix(frame, "av1")
    except av.error.FFmpegError:
        return None  # decoding with OpenCV reports the fault
    return None
