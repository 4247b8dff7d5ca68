"""Whatever a media names, no other file is opened and no host is asked."""

import ctypes
import os
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames.reader import open_frames
from tests.media_files import painted, write_video

IN_OPEN = 0x20
FRAMES = range(5)


class Canaries:
    """Files and a host that a media may name; they tell whether one was opened or asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.video = write_video(folder / "a.ts", FRAMES, container="mpegts")
        self.movie = write_video(folder / "a.mp4", FRAMES)
        self.pictures = [folder / f"img{number:03d}.jpg" for number in (1, 2)]
        for path in self.pictures:
            cv2.imwrite(str(path), painted(1))
        for name in ("a.sub", "a.wav", "a.avi", "key"):
            (folder / name).write_bytes(self.video.read_bytes())
        self._libc = ctypes.CDLL(None)
        self._notify = self._libc.inotify_init1(os.O_NONBLOCK)
        for path in folder.iterdir():
            assert self._libc.inotify_add_watch(self._notify, os.fsencode(path), IN_OPEN) >= 0
        self.host = socket.create_server(("127.0.0.1", 0))
        self.host.setblocking(False)
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.bind(("127.0.0.1", 0))
        self.datagrams.setblocking(False)

    def touched(self) -> bool:
        """Return whether one was opened or asked since the last call."""
        found = False
        for call in (
            lambda: os.read(self._notify, 4096),
            self._hang_up,
            lambda: self.datagrams.recv(1),
        ):
            try:
                call()
                found = True
            except BlockingIOError:
                continue
        return found

    def _hang_up(self) -> None:
        self.host.accept()[0].close()

    def close(self) -> None:
        os.close(self._notify)
        self.host.close()
        self.datagrams.close()


@pytest.fixture
def canaries(tmp_path: Path) -> Iterator[Canaries]:
    folder = tmp_path / "canaries"
    folder.mkdir()
    found = Canaries(folder)
    assert not found.touched()
    found.video.read_bytes()
    assert found.touched()
    socket.create_connection(found.host.getsockname()).close()
    assert found.touched()
    yield found
    found.close()


def names(canaries: Canaries) -> list[str]:
    """Return the same file, and the host, by all the ways in which FFmpeg takes names."""
    port, udp = canaries.host.getsockname()[1], canaries.datagrams.getsockname()[1]
    path = canaries.video
    return [
        "a.ts", str(path), f"file:{path}", f"file://{path}", f"subfile,,start,0,end,188,,:{path}", f"cache:{path}",
        f"async:{path}", f"concat:{path}|{path}", f"concatf:{path}", f"crypto:{path}", f"data:text/plain,{path}",
        f"tee:{path}", f"ffrtmpcrypt://127.0.0.1:{port}/", f"http://127.0.0.1:{port}/a.ts", f"tcp://127.0.0.1:{port}",
        f"hls+http://127.0.0.1:{port}/a.m3u8", f"ftp://127.0.0.1:{port}/a", f"gopher://127.0.0.1:{port}/",
        f"rtmp://127.0.0.1:{port}/a", f"rtsp://127.0.0.1:{port}/a", f"udp://127.0.0.1:{udp}",
    ]  # fmt: skip


def texts(canaries: Canaries) -> Iterator[tuple[str, str]]:
    """Yield files of text that name others."""
    udp = canaries.datagrams.getsockname()[1]
    for name in names(canaries):
        segment = f"#EXTINF:2,\n{name}\n#EXT-X-ENDLIST\n"
        yield "concat", f"ffconcat version 1.0\nfile '{name}'\n"
        yield "hls", f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{segment}"
        yield "hls map", f'#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI="{name}"\n{segment}'
        key = f'#EXT-X-KEY:METHOD=AES-128,URI="{name}"'
        yield "hls key", f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{key}\n{segment}"
        yield "hls of lists", f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{name}\n"
        yield (
            "dash",
            (
                '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
                f'mediaPresentationDuration="PT1S"><BaseURL>{name}</BaseURL>'
                '<Period><AdaptationSet mimeType="video/mp4">'
                f'<Representation id="1" bandwidth="1"><BaseURL>{name}</BaseURL><SegmentList><Initialization sourceURL='
                f'"{name}"/><SegmentURL media="{name}"/></SegmentList></Representation></AdaptationSet></Period></MPD>'
            ),
        )
        yield "avisynth", f'AviSource("{name}")\n'
        yield "ffmetadata", f";FFMETADATA1\nlocation={name}\n[STREAM]\nfile={name}\n"
        yield "smil", f'<smil><body><video src="{name}"/></body></smil>'
        yield "asx", f'<asx version="3.0"><entry><ref href="{name}"/></entry></asx>'
        yield "pls", f"[playlist]\nFile1={name}\nNumberOfEntries=1\n"
        yield "cue", f'FILE "{name}" BINARY\n  TRACK 01 MODE1/2352\n    INDEX 01 00:00:00\n'
        yield "external entity", f'<!DOCTYPE x [<!ENTITY y SYSTEM "{name}">]><MPD>&y;</MPD>'
        yield (
            "svg",
            (
                '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                f'width="9" height="9"><image xlink:href="{name}" width="9" height="9"/></svg>'
            ),
        )
    yield "vobsub", "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\ntimestamp: 0, filepos: 0\n"
    yield "sdp", f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {udp} RTP/AVP 96\n"


def is_a_state_of_its_own(path: Path) -> None:
    for kind in ("video", "image"):
        with pytest.raises(MediaFault) as caught:
            list(open_frames(path, kind))
        assert caught.value.state in ("unsupported", "unreadable")


def test_texts_that_name_others(canaries: Canaries) -> None:
    path = canaries.folder / "media"  # beside them, for relative names
    for what, text in texts(canaries):
        for beginning in ("", "\ufeff", "\n"):
            path.write_text(beginning + text, encoding="utf-8")
            is_a_state_of_its_own(path)
        assert not canaries.touched(), (what, text)


@pytest.mark.parametrize("name", ["a.idx", "media.m3u8", "a.mpd", "a.sdp", "a.avs", "a.ffconcat", "img%03d.jpg"])
def test_a_name_says_nothing(canaries: Canaries, name: str) -> None:
    """Neither of text, nor of a picture or video, which are taken for what they are."""
    path = canaries.folder / name
    path.write_text("no media\n" * 20)
    is_a_state_of_its_own(path)
    path.write_bytes(cv2.imencode(".jpg", painted(7))[1].tobytes())
    with open_frames(path, "image") as frames:
        assert len(list(frames)) == 1
    path.write_bytes(write_video(canaries.folder.parent / "own.mp4", FRAMES).read_bytes())
    with open_frames(path, "video") as frames:
        assert [number for number, _ in frames] == list(FRAMES)
    assert not canaries.touched()


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def alias(path: Path) -> bytes:
    """Return a Macintosh alias, as FFmpeg reads it: names of volume and file, and the paths behind them."""
    fixed = bytes(4) + struct.pack(">HHH", 150, 2, 0) + bytes([4]) + b"Disk".ljust(27, b"\0") + bytes(12)
    fixed += bytes([len(path.name)]) + path.name.encode().ljust(63, b"\0") + bytes(16)
    fixed += struct.pack(">hh", 1, 1) + bytes(16)
    absolute = str(path).encode()
    unix = struct.pack(">hH", 18, len(absolute)) + absolute + b"\0" * (len(absolute) % 2)
    mac = struct.pack(">hH", 2, 9) + b"Disk:" + path.name.encode() + b"\0" * (len(path.name) % 2)
    return fixed + mac + unix + struct.pack(">hH", -1, 0)


DATA_REFERENCES: dict[str, Callable[[Canaries], bytes]] = {
    "url": lambda canaries: box(b"url ", bytes(4) + str(canaries.video).encode() + b"\0"),
    "relative url": lambda canaries: box(b"url ", bytes(4) + b"a.ts\0"),
    "address": lambda canaries: box(b"url ", bytes(4) + names(canaries)[13].encode() + b"\0"),
    "urn": lambda canaries: box(b"urn ", bytes(4) + b"x\0" + str(canaries.video).encode() + b"\0"),
    "alias": lambda canaries: box(b"alis", bytes(4) + alias(canaries.video)),
    "alias of a resource": lambda canaries: box(b"rsrc", bytes(4) + alias(canaries.video)),
}


@pytest.mark.parametrize("kind", DATA_REFERENCES)
def test_a_movie_whose_samples_are_elsewhere(canaries: Canaries, kind: str) -> None:
    """The sample table of a video behind its data, so that a longer `dref` moves none of them."""
    path = write_video(canaries.folder.parent / "own.mp4", FRAMES)
    content = path.read_bytes()
    old = box(b"dref", bytes(4) + struct.pack(">I", 1) + box(b"url ", b"\0\0\0\1"))
    new = box(b"dref", bytes(4) + struct.pack(">I", 1) + DATA_REFERENCES[kind](canaries))
    place = content.index(old)
    assert place > content.index(b"mdat")
    changed = bytearray(content.replace(old, new))
    for parent in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        at = content.index(parent, content.index(b"moov")) - 4
        size = struct.unpack_from(">I", changed, at)[0]
        struct.pack_into(">I", changed, at, size + len(new) - len(old))
    media = canaries.folder / "media.mp4"
    media.write_bytes(changed)
    try:
        with open_frames(media, "video") as frames:
            assert [number for number, _ in frames] == list(FRAMES)  # its own data, if FFmpeg takes them
    except MediaFault as fault:
        assert fault.state in ("unsupported", "unreadable")  # noqa: PT017 - either may be, by FFmpeg's version
    assert not canaries.touched()


@pytest.mark.parametrize("form", [b"url ", b"alis"])
def test_a_movie_that_refers_to_another(canaries: Canaries, form: bytes) -> None:
    """QuickTime's reference movies: `rmra`."""
    media = canaries.folder / "media.mov"
    for name in names(canaries):
        data = alias(canaries.video) if form == b"alis" else name.encode() + b"\0"
        reference = box(b"rdrf", bytes(4) + form + struct.pack(">I", len(data)) + data)
        movie = box(b"moov", box(b"rmra", box(b"rmda", reference)))
        media.write_bytes(box(b"ftyp", b"qt  " + bytes(4) + b"qt  ") + movie)
        is_a_state_of_its_own(media)
    assert not canaries.touched()


@pytest.mark.parametrize("element", [b"\x3e\x83\xbb", b"\x3c\x83\xab"])
def test_matroska_that_goes_on_in_another_file(canaries: Canaries, element: bytes) -> None:
    """NextFilename and PrevFilename, in place of the name of the program that wrote the file."""
    media = write_video(canaries.folder / "media.mkv", FRAMES)
    content = media.read_bytes()
    at = content.index(b"\x4d\x80")
    length = content[at + 2] & 0x7F
    linked = element + bytes([0x80 | length - 1]) + b"a.ts".ljust(length - 1, b"\0")
    media.write_bytes(content[:at] + linked + content[at + 3 + length :])
    canaries.touched()
    with open_frames(media, "video") as frames:
        assert [number for number, _ in frames] == list(FRAMES)
    assert not canaries.touched()
