"""Read properties of a coded picture from its bytes, without decoding it."""

from collections.abc import Callable, Iterator

import numpy as np
from av.video.frame import PictureType, VideoFrame

from scripts.lib.frames.codecs import av1_pictures, dv_blocks, zero_runs
from scripts.lib.frames.codecs.beginnings import lost_key
from scripts.lib.frames.codecs.units import by_lengths, by_start_codes
from scripts.lib.frames.damage import codestream, gif, jpeg

# Lost sectors, and parts of files that were not transferred, are zeros. Pictures of these codecs never have this many
# in a row: some codecs forbid it, as start codes begin with zeros; the bits of the others are almost random.
_ZEROS = bytes(32)
_WITHOUT_ZEROS = {"flv1", "h263", "h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v1"}
_WITHOUT_ZEROS |= {"msmpeg4v2", "msmpeg4v3", "theora", "vc1", "vp6", "vp6f", "vp8", "vp9", "wmv1", "wmv2", "wmv3"}
# Codecs whose pictures have no end marker.
WITHOUT_END = {"flv1", "h263", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2"}
# Codecs whose decoders invent the pictures before the first key frame, from grey or from nothing.
_MADE_UP_BEFORE_KEY = {"cinepak", "flv1", "h261", "h263", "h263p", "mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3"}
_MADE_UP_BEFORE_KEY |= {"rv10", "rv20", "snow", "svq1", "theora", "vp3", "wmv1", "wmv2", "zmbv"}
# If no packet is marked as a key frame, the first frame that is decoded and not invented counts as one: it is one, or a
# recovery point message makes it complete.
_WITH_RECOVERY_POINTS = {"h264", "hevc"}
BEGIN_BY_DECODER = _WITH_RECOVERY_POINTS | _MADE_UP_BEFORE_KEY
_TAIL = bytes(16)
# FFmpeg's own encoder writes runs of 34 bytes.
_LONGER_RUNS = {"wmv2": bytes(48)}
# Pictures of these are never padded, so zeros at their end are a hole.
_WITHOUT_PADDING = {"vp8", "vp9"}
# The decoders of AV1 and VP9 notice holes of ones. Other values than ones can repeat where a picture has no detail.
_WITHOUT_ONES = {"h264", "hevc", "vp8"}
# Blocks that do not change can be coded in zeros or ones in VP8 and Theora: up to 100 blocks in a byte (VP8), or 35
# (Theora).
_BLOCKS = {"vp8": 25, "theora": 25}
_LENGTHS = {"h264": 4, "hevc": 21}  # offset in the extradata of the size of the units' length fields
_H264_SLICES = range(1, 6)  # types of units
_HEVC_SLICES = range(32)
# DNxHD (SMPTE ST 2019-1): a picture or field is a header with a table of rows, the rows, padding, and this end.
_DNXHD_END = b"\x60\x0d\xc0\xde"
_DNXHD_FLAGS, _DNXHD_FIELDS = 5, 2  # offset and bit of the flag for two fields
_DNXHD_HEADER, _DNXHD_ROWS = slice(0, 4), slice(0x16C, 0x16E)  # the header's length, and the number of rows
_DNXHD_ZEROS = bytes(16)  # rows have four at most
_DNXHD_TABLE = 0x170  # for each row its offset after the header, 4 bytes
# ProRes (SMPTE RDD 36): the signature of a frame, and the offset of its tables, after the flags for which it contains.
_PRORES_SIGNATURE, _PRORES_TABLES, _PRORES_TABLE = slice(4, 8), 28, 64
# The first bytes of the headers before the pictures of each part in joined Ogg files, and of those headers that
# FFmpeg's decoders accept: the parts may have different headers.
_HEADERS = {
    "theora": (b"\x80theora", b"\x81theora", b"\x82theora"),
    "vp8": (b"OVP80",),
    "dirac": (b"BBCD\x10",),  # the stream's end
}
_ACCEPTED_HEADERS = (b"\x80theora", b"\x82theora")
_VOP = b"\0\0\1\xb6"
_EMPTY_VOP = 10  # bytes, at most: the header alone


class Holes:
    """Finds lost parts of a stream's packets: more bytes of one value in a row than its codec writes."""

    def __init__(self, codec: str, extradata: bytes, size: tuple[int, int]) -> None:
        """Store the properties of a stream.

        Args:
            codec: FFmpeg's name of the codec, not of its decoder.
            extradata: the stream's extradata.
            size: width and height in pixels.
        """
        self._codec = codec
        blocks = -(-size[0] // 16) * -(-size[1] // 16)
        self._shown_again = bytes(blocks // 2) if codec == "wmv2" else b""
        self._run = max(len(_ZEROS), blocks // _BLOCKS[codec]) if codec in _BLOCKS else len(_ZEROS)
        place = _LENGTHS.get(codec, 0)
        in_lengths = bool(place) and extradata[:1] == b"\1" and len(extradata) > place
        self._length_size = (extradata[place] & 3) + 1 if in_lengths else 0
        self._first, self._key_seen = True, codec not in _LENGTHS
        self._tail = self._padded = 0  # zeros at the last packet's end, and packets before that end in zeros

    def find(self, content: bytes, *, key: bool) -> str | None:
        """Return a sentence on the first hole of a packet, or on its missing end; None if there is neither.

        Args:
            content: the packet.
            key: whether it is a key frame.
        """
        first, self._first = self._first, False
        self._key_seen = self._key_seen or key
        self._note_tail(content)
        if not self._key_seen and (what := lost_key(self._codec, content, self._length_size, first=first)):
            return what
        if not key and self._shown_again not in content:
            return None  # unchanged blocks of WMV 2 are 3 bits of zeros
        return zeros(self._codec, content, self._run, length_size=self._length_size) or self._erased(content)

    def _note_tail(self, content: bytes) -> None:
        self._padded += self._tail > 0
        self._tail = 0
        if content.endswith(_TAIL) and self._codec in _WITH_RECOVERY_POINTS:
            self._tail = len(content) - len(content.rstrip(b"\0"))

    def at_end(self) -> str | None:
        """Return a sentence if only the last packet of H.264 or HEVC ends in zeros, else None.

        Encoders may write zeros after pictures to keep the rate constant, but then they do so after other pictures,
        too. The decoders of other codecs report a picture without its end.
        """
        return _loss_message(self._tail) if self._tail and not self._padded else None

    def _erased(self, content: bytes) -> str | None:
        """Return a sentence if there are ones, as in erased flash memory: coded pictures have few of them in a row."""
        ones = b"\xff" * self._run
        if self._codec not in _WITHOUT_ONES or ones not in content:
            return None
        if self._codec in _LENGTHS and not any(ones in unit for unit in self._slices(content)):
            return None  # other units may have any content
        return f"{len(ones)} bytes of ones or more in a coded picture: that part of the file was lost"

    def _slices(self, content: bytes) -> Iterator[bytes]:
        size = self._length_size
        for unit in by_lengths(content, size) if size else by_start_codes(content):
            if (unit[0] & 31 in _H264_SLICES) if self._codec == "h264" else (unit[0] >> 1 & 63 in _HEVC_SLICES):
                yield unit


def zeros(codec: str, content: bytes, least: int = len(_ZEROS), *, length_size: int = 0) -> str | None:
    """Return a sentence if a coded picture has more zeros in a row than its codec writes, or no end; else None.

    Zeros up to the packet's end, or up to a start code in it, are padding, which some encoders write for a constant
    rate.

    Args:
        codec: FFmpeg's name of the codec, not of its decoder.
        content: the packet.
        least: smallest number of zeros in a row that is too many, for codecs that have no other limit.
        length_size: bytes of the field with each unit's length; 0 if start codes separate the units.
    """
    run = _LONGER_RUNS.get(codec, bytes(least))
    if content.startswith(run) and (codec in _FINDERS or codec in _WITHOUT_ZEROS):
        return _loss_message(len(content) - len(content.lstrip(b"\0")))  # no picture begins with zeros
    if codec in _FINDERS:
        return _FINDERS[codec](content)
    with_units = codec in zero_runs.CODECS and zero_runs.may_have_runs(content)
    if with_units and (length := zero_runs.first_hole(codec, content, length_size)):
        return _loss_message(length)
    if codec not in _WITHOUT_ZEROS or (codec in zero_runs.CODECS and not with_units) or run not in content:
        return None
    end = len(content) if codec in _WITHOUT_PADDING else len(content.rstrip(b"\0"))
    start = content.find(run, 0, end)
    while start >= 0:
        length = end - start - len(content[start:end].lstrip(b"\0"))
        # Encoders may also pad before a start code, which is two zeros and a one.
        if length_size or codec not in zero_runs.CODECS or content[start + length : start + length + 1] != b"\1":
            return _loss_message(length)
        start = content.find(run, start + length, end)
    return None


def _loss_message(length: int) -> str:
    return f"{length} bytes of zeros in a coded picture: that part of the file was lost"


def _lost_in_dnxhd(content: bytes) -> str | None:
    if len(content) > _DNXHD_FLAGS and content[_DNXHD_FLAGS] & _DNXHD_FIELDS:
        *pictures, rest = content.split(_DNXHD_END)
        complete = bool(pictures) and not rest.startswith(content[_DNXHD_HEADER])  # no other field begins
    else:
        picture, end, _ = content.rpartition(_DNXHD_END)
        pictures, complete = [picture], bool(end)
    if not complete:
        return "a coded picture without its end: that part of the file was lost"
    for picture in pictures:
        coded = picture[int.from_bytes(picture[_DNXHD_HEADER], "big") :]
        filled = coded.rstrip(b"\0")
        if np.frombuffer(filled, np.uint64, len(filled) // 8).all():
            continue  # sixteen zeros in a row contain eight aligned ones
        rows = _dnxhd_rows(picture, coded)
        # Some encoders pad each row by about the same length; the padding after the last row is the picture's.
        padding = [len(row) - len(row.rstrip(b"\0")) for row in rows[:-1]]
        most = (sorted(padding)[len(padding) // 2] if padding else 0) + len(_DNXHD_ZEROS) // 2
        if padding and max(padding) > most:
            return _loss_message(max(padding))
        for row in rows:
            coded = row.rstrip(b"\0")
            if (start := coded.find(_DNXHD_ZEROS)) >= 0:
                return _loss_message(len(coded) - start - len(coded[start:].lstrip(b"\0")))
    return None


def _dnxhd_rows(picture: bytes, coded: bytes) -> list[bytes]:
    """Return the coded rows of macroblocks; all of them as one if the table of rows is not valid."""
    table = picture[_DNXHD_TABLE:][: 4 * int.from_bytes(picture[_DNXHD_ROWS], "big")]
    starts = [int.from_bytes(table[at : at + 4], "big") for at in range(0, len(table), 4)]
    if not starts or starts != sorted(starts) or starts[-1] > len(coded):
        return [coded]
    return [coded[begin:end] for begin, end in zip(starts, [*starts[1:], len(coded)], strict=True)]


def _lost_in_prores(content: bytes) -> str | None:
    """Return a sentence if there are zeros in the quantization tables, whose least value is 2."""
    if content[_PRORES_SIGNATURE] != b"icpf" or len(content) <= _PRORES_TABLES:
        return None
    count = (content[_PRORES_TABLES - 1] & 3).bit_count()  # one flag each for the tables of luma and chroma
    zeros_found = content[_PRORES_TABLES:][: _PRORES_TABLE * count].count(0)
    return _loss_message(zeros_found) if zeros_found else None


def _lost_in_gif(content: bytes) -> str | None:
    return None if gif.is_without_picture(content) else gif.find_damage(content)


# Functions for codecs that need a special check.
_FINDERS: dict[str, Callable[[bytes], str | None]] = {
    "av1": av1_pictures.find_loss,
    "dnxhd": _lost_in_dnxhd,
    "dvvideo": dv_blocks.find_loss,
    "gif": _lost_in_gif,
    "jpeg2000": codestream.find_damage,
    "mjpeg": jpeg.find_zeros,
    "prores": _lost_in_prores,
}


def _vp8_hidden(content: bytes) -> bool:
    return not content[0] >> 4 & 1


def _vp9_hidden(content: bytes) -> bool:
    # Frame marker (2 bits), profile (2, or 3 with a reserved one), show_existing_frame, frame_type, show_frame.
    if content[-1] & 0xE0 == 0xC0:
        return False  # a superframe contains a shown frame
    after = 5 if content[0] >> 4 & 3 == 3 else 4
    bits = content[0] << 8 | (content[1] if len(content) > 1 else 0)
    existing, shown = bits >> (15 - after) & 1, bits >> (13 - after) & 1
    return not existing and not shown


def _mpeg4_hidden(content: bytes) -> bool:
    return len(content) < _EMPTY_VOP and content.startswith(_VOP)


_HIDDEN: dict[str, Callable[[bytes], bool]] = {"vp8": _vp8_hidden, "vp9": _vp9_hidden, "mpeg4": _mpeg4_hidden}


def hidden(codec: str, content: bytes) -> bool:
    """Return whether a packet shows no new picture: its picture is only a reference, or repeats the last one."""
    return codec in _HIDDEN and bool(content) and _HIDDEN[codec](content)


def is_invented_by_decoder(codec: str, frame: VideoFrame) -> bool:
    """Return whether a decoder invented the first frame of a stream, as it refers to frames that do not exist."""
    return codec in _MADE_UP_BEFORE_KEY and not (frame.key_frame or frame.pict_type == PictureType.I)


def keys_are_whole(codec: str) -> bool:
    """Return whether packets marked as key frames are key frames; in H.264 and HEVC, containers also mark others."""
    return codec not in _WITH_RECOVERY_POINTS


def is_header(codec: str, content: bytes) -> bool:
    """Return whether a packet is a header, as in joined Ogg files, and shows no picture."""
    return content.startswith(_HEADERS.get(codec, ())) or (codec == "gif" and gif.is_without_picture(content))


def is_for_decoder(codec: str, content: bytes) -> bool:
    """Return whether a packet is a picture, or a header that the decoder accepts."""
    return not is_header(codec, content) or content.startswith(_ACCEPTED_HEADERS)
