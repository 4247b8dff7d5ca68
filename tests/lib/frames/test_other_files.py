"""Test that no other file is opened and no host is contacted, whatever a media names.

Each form of a reference is first read with an unprotected FFmpeg, which must open the other file or host. Forms that no
build of FFmpeg, or not PyAV's, supports are left out: `url `, `urn ` and `rsrc` in `dref`, `rmra`, Matroska's linked
segments, ASX, PLS, SMIL, CUE and SVG; DASH, IMF, external entities of XML, AviSynth, Blu-ray, IPFS without its gateway,
RTMPE, and `tee`, which only writes.
"""

import ctypes
import os
import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import av
import av.error
import cv2
import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames.reader import open_frames
from tests.media_files import painted, write_video

IN_OPEN = 0x20
FRAMES = range(5)
# All protocols of PyAV's FFmpeg, and options to follow references that its demuxers refuse by default.
ALL_PROTOCOLS = (
    "async,cache,concat,concatf,crypto,data,dtls,fd,ffrtmphttp,file,ftp,gopher,gophers,http,httpproxy,https,mmsh,mmst,pipe,"
    "rtmp,rtmps,rtmpt,rtmpts,rtp,rtsp,sdp,srtp,subfile,tcp,tls,udp,unix"
)
UNPROTECTED = {"protocol_whitelist": ALL_PROTOCOLS, "safe": "0", "enable_drefs": "1", "use_absolute_path": "1"}
PATIENCE_SECONDS = 0.3


class Canaries:
    """Files, hosts and ports that a media may name, with a check whether one was opened, contacted or bound."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.video = write_video(folder / "a.ts", FRAMES, container="mpegts")
        self.movie = write_video(folder / "a.mp4", FRAMES)
        self.list = folder / "list"
        self.list.write_text(f"{self.video}\n")
        for number in (1, 2):
            cv2.imwrite(str(folder / f"img{number:03d}.jpg"), painted(1))
        for name in ("a.sub", "key.ts", "media.m00"):
            (folder / name).write_bytes(self.video.read_bytes())
        self._libc = ctypes.CDLL(None)
        self._notify = self._libc.inotify_init1(os.O_NONBLOCK)
        for path in folder.iterdir():
            assert self._libc.inotify_add_watch(self._notify, os.fsencode(path), IN_OPEN) >= 0
        self.socket = folder / "socket"
        self._local = socket.socket(socket.AF_UNIX)
        self._local.bind(str(self.socket))
        self._host = socket.socket(socket.AF_INET)
        self._host.bind(("127.0.0.1", 0))
        self.port = self._host.getsockname()[1]
        for listener in (self._local, self._host):
            listener.listen()
            listener.setblocking(False)
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind(("127.0.0.1", 0))
        self._datagrams.setblocking(False)
        self.datagram_port = self._datagrams.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
            unused.bind(("127.0.0.1", 0))
            self.free_port = unused.getsockname()[1] & ~1  # RTP uses even ports

    def touched_by(self, reading: Callable[[], None]) -> bool:
        """Return whether one was opened, contacted or bound while a function runs."""
        self._seen()
        found = False
        with ThreadPoolExecutor(1) as pool:
            reader = pool.submit(reading)
            while not reader.done():
                found = self._seen() or found
                wait([reader], 0.005)
        reader.result()
        return self._seen() or found

    def _seen(self) -> bool:
        found = False
        calls = (
            lambda: os.read(self._notify, 4096),
            lambda: self._datagrams.recv(1),
            lambda: hang_up(self._local),
            lambda: hang_up(self._host),
        )
        for call in calls:
            try:
                call()
                found = True
            except BlockingIOError:
                continue
        taken = f":{self.free_port:04X} "
        return found or any(taken in line for line in Path("/proc/self/net/udp").read_text().splitlines())

    def close(self) -> None:
        os.close(self._notify)
        for each in (self._local, self._host, self._datagrams):
            each.close()


def hang_up(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    connection.close()


@pytest.fixture
def canaries(tmp_path: Path) -> Iterator[Canaries]:
    folder = tmp_path / "canaries"
    folder.mkdir()
    found = Canaries(folder)
    assert not found.touched_by(lambda: None)
    yield found
    found.close()


def read_unprotected(path: Path) -> None:
    """Read a file as a program does that passes FFmpeg a path without restrictions."""
    try:
        with av.open(str(path), options=UNPROTECTED, timeout=(PATIENCE_SECONDS, PATIENCE_SECONDS)) as container:
            for _, _ in zip(container.demux(), range(20), strict=False):
                pass
    except av.error.FFmpegError:
        return  # only the opened files and hosts matter


def read_protected(path: Path) -> None:
    """Read a file as the workflow does: as a video, and as a picture by its path and its content."""
    for media, kind in ((path, "video"), (path, "image"), (path.read_bytes(), "image")):
        with pytest.raises(MediaFault) as caught:
            list(open_frames(media, kind))
        assert caught.value.state in ("unsupported", "unreadable")


# By name: forms of an address of a file or host that FFmpeg accepts.
ADDRESSES: dict[str, Callable[[Canaries], str]] = {
    "relative": lambda canaries: "a.ts",
    "absolute": lambda canaries: str(canaries.video),
    "file": lambda canaries: f"file:{canaries.video}",
    "file, as of the web": lambda canaries: f"file://{canaries.video}",
    "subfile": lambda canaries: f"subfile,,start,0,end,0,,:{canaries.video}",
    "cache": lambda canaries: f"cache:{canaries.video}",
    "async": lambda canaries: f"async:{canaries.video}",
    "concat": lambda canaries: f"concat:{canaries.video}|{canaries.video}",
    "concatf": lambda canaries: f"concatf:{canaries.list}",
    "data that name it": lambda canaries: f"concatf:data:text/plain,{canaries.video}",
    "within each other": lambda canaries: f"cache:async:subfile,,start,0,end,0,,:{canaries.video}",
    "unix": lambda canaries: f"unix:{canaries.socket}",
    "ftp": lambda canaries: f"ftp://127.0.0.1:{canaries.port}/a",
    "httpproxy": lambda canaries: f"httpproxy://127.0.0.1:{canaries.port}/a:1",
    "dtls": lambda canaries: f"dtls://127.0.0.1:{canaries.datagram_port}",
    "rtp": lambda canaries: f"rtp://127.0.0.1:{canaries.free_port}",
    "srtp": lambda canaries: f"srtp://127.0.0.1:{canaries.free_port}",
    "udp": lambda canaries: f"udp://127.0.0.1:{canaries.free_port}",
}


def _of_host(protocol: str) -> Callable[[Canaries], str]:
    return lambda canaries: f"{protocol}://127.0.0.1:{canaries.port}/a.ts"


for _protocol in (
    *(
        "http",
        "https",
        "tcp",
        "tls",
        "gopher",
        "gophers",
        "mmsh",
        "mmst",
        "ffrtmphttp",
        "rtmp",
        "rtmps",
        "rtmpt",
        "rtmpts",
    ),
    "rtsp",
):
    ADDRESSES[_protocol] = _of_host(_protocol)

HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
SEGMENT = "#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n"
# FFmpeg's demuxer of HLS accepts only files and web addresses for segments, but all addresses for lists.
SEGMENTS = ("relative", "absolute", "file", "http", "https")
# By name: the file's name, its text around an address, and the addresses that it may have.
PLAYLISTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "concat": ("media.ffconcat", "ffconcat version 1.0\nfile '{}'\n", tuple(ADDRESSES)),
    "hls": ("media.m3u8", HLS + "#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n", SEGMENTS),
    "hls map": ("media.m3u8", HLS + '#EXT-X-MAP:URI="{}"\n' + SEGMENT, SEGMENTS),
    "hls key": ("media.m3u8", HLS + '#EXT-X-KEY:METHOD=AES-128,URI="{}"\n' + SEGMENT, SEGMENTS),
    "hls of lists": (
        "media.m3u8",
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{}\n",
        tuple(name for name in ADDRESSES if name not in ("data that name it", "rtsp")),
    ),
    "hls of sound": (
        "media.m3u8",
        '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="{}"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\ndata:text/plain,x\n',
        SEGMENTS,
    ),
}


@pytest.mark.parametrize(
    ("playlist", "address"), [(playlist, name) for playlist, (_, _, names) in PLAYLISTS.items() for name in names]
)
def test_a_playlist(canaries: Canaries, playlist: str, address: str) -> None:
    name, text, _ = PLAYLISTS[playlist]
    path = canaries.folder / name
    path.write_text(text.format(ADDRESSES[address](canaries)))
    assert canaries.touched_by(lambda: read_unprotected(path))
    assert not canaries.touched_by(lambda: read_protected(path))


CRYPTO = "ffconcat version 1.0\nfile 'crypto:{}'\noption key {}\noption iv {}\n"
# By name: the file's name, and its content.
OTHERS: dict[str, tuple[str, Callable[[Canaries], bytes]]] = {
    "vobsub": (
        "a.idx",
        lambda _: b"# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 000000000\n",
    ),
    # A file in several pieces: the names of the other pieces end with 00, 01 and so on.
    "mlv": ("media.mlv", lambda _: b"MLVI" + struct.pack("<I8sQ8xHHIIII", 52, b"v2.0", 1, 0, 0, 0, 0, 25, 1)),
    "images by number": ("img%03d.jpg", lambda _: b"no media\n"),
    "sdp": (
        "a.sdp",
        lambda canaries: (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=video {canaries.free_port} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
        ).encode(),
    ),
    "crypto": ("a.ffconcat", lambda canaries: CRYPTO.format(canaries.video, "0" * 32, "0" * 32).encode()),
    "a list of lists": ("b.ffconcat", lambda canaries: b"ffconcat version 1.0\nfile 'c.ffconcat'\n"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats_that_name_files(canaries: Canaries, kind: str) -> None:
    name, content = OTHERS[kind]
    (canaries.folder / "c.ffconcat").write_text("ffconcat version 1.0\nfile 'a.ts'\n")
    path = canaries.folder / name
    path.write_bytes(content(canaries))
    assert canaries.touched_by(lambda: read_unprotected(path))
    assert not canaries.touched_by(lambda: read_protected(path))


@pytest.mark.parametrize("name", ["a.idx", "media.m3u8", "a.mpd", "a.sdp", "a.avs", "a.ffconcat", "img%03d.jpg"])
def test_a_files_name_opens_no_other_file(canaries: Canaries, name: str) -> None:
    """Pictures and videos are read by their content."""
    path = canaries.folder / name
    own = write_video(canaries.folder.parent / "own.mp4", FRAMES).read_bytes()

    def read() -> None:
        path.write_bytes(cv2.imencode(".jpg", painted(7))[1].tobytes())
        with open_frames(path, "image") as frames:
            assert len(list(frames)) == 1
        path.write_bytes(own)
        with open_frames(path, "video") as frames:
            assert [number for number, _ in frames] == list(FRAMES)

    assert not canaries.touched_by(read)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def alias(path: Path, levels: int) -> bytes:
    """Return a Macintosh alias, as FFmpeg reads it: names of volume and file, then the path.

    Args:
        path: path of the other file.
        levels: number of folders that the paths do not have in common, 1 for the same folder; 0 for an absolute path.
    """
    fixed = bytes(4) + struct.pack(">HHH", 150, 2, 0) + bytes([4]) + b"Disk".ljust(27, b"\0") + bytes(12)
    fixed += bytes([len(path.name)]) + path.name.encode().ljust(63, b"\0") + bytes(16)
    fixed += struct.pack(">hh", levels, levels) + bytes(16)
    absolute = str(path).encode()
    return (
        fixed
        + struct.pack(">hH", 2, len(absolute))
        + absolute
        + b"\0" * (len(absolute) % 2)
        + struct.pack(">hH", -1, 0)
    )


@pytest.mark.parametrize("levels", [0, 1])
def test_a_movie_with_samples_in_another_file(canaries: Canaries, levels: int) -> None:
    """The video's sample table follows its data, so that a longer `dref` does not move the data."""
    content = write_video(canaries.folder.parent / "own.mp4", FRAMES).read_bytes()
    old = box(b"dref", bytes(4) + struct.pack(">I", 1) + box(b"url ", b"\0\0\0\1"))
    reference = box(b"alis", bytes(4) + alias(canaries.movie, levels))
    new = box(b"dref", bytes(4) + struct.pack(">I", 1) + reference)
    assert content.index(old) > content.index(b"mdat")
    changed = bytearray(content.replace(old, new))
    for parent in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        at = content.index(parent, content.index(b"moov")) - 4
        size = struct.unpack_from(">I", changed, at)[0]
        struct.pack_into(">I", changed, at, size + len(new) - len(old))
    media = canaries.folder / "media.mp4"
    media.write_bytes(changed)

    assert canaries.touched_by(lambda: read_unprotected(media))
    assert not canaries.touched_by(lambda: read_protected(media))
