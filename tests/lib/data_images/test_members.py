"""The network's files from hostile archives: only these are written, as regular files."""

import gzip
import io
import tarfile
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.lib.data_images import members as module
from scripts.lib.data_images.members import Members
from scripts.lib.errors import GraphError
from tests.docker_engine import tar

NAMES = ("graph.pb", "train.ini")
GOOD = {"network/graph.pb": b"graph", "network/train.ini": b"ini"}


def special(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def pieces(content, size=700):
    return (content[at : at + size] for at in range(0, len(content), size))


@pytest.fixture
def members(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return Members(folder, NAMES)


def taken(members):
    return {name: path.read_bytes() for name, path in members.found.items()}


def everything(tmp_path):
    return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))


def test_only_the_networks_files_are_extracted(members, tmp_path):
    members.add(pieces(tar({"network": special("network", tarfile.DIRTYPE), **GOOD, "network/notes.txt": b"x"})), "it")
    assert taken(members) == {"graph.pb": b"graph", "train.ini": b"ini"}
    assert members.others == {"notes.txt"}
    assert everything(tmp_path) == ["out", "out/graph.pb", "out/train.ini"]


@pytest.mark.parametrize("prefix", ["./", "/", "//", "/./"])
def test_names_are_accepted_as_builders_write_them(members, prefix):
    members.add(pieces(tar({prefix + name: content for name, content in GOOD.items()})), "it")
    assert taken(members) == {"graph.pb": b"graph", "train.ini": b"ini"}


def test_hostile_names_are_not_extracted(members, tmp_path):
    names = ["../graph.pb", "network/../network/graph.pb", "network/../../graph.pb", "/etc/evil", "/tmp/graph.pb"]
    names += ["network/graph.pb/../../../x", "other/network/graph.pb", "network/sub/graph.pb", "graph.pb", "network/.."]
    names += ["NETWORK/graph.pb", "network/graph.pb ", "network\\graph.pb", "network/graph.pb\n", "n" * 5000]
    members.add(pieces(tar({**dict.fromkeys(names, b"evil"), "network/train.ini": b"ini"})), "it")
    assert taken(members) == {"train.ini": b"ini"}
    assert everything(tmp_path) == ["out", "out/train.ini"]


@pytest.mark.parametrize(
    ("kind", "description"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.DIRTYPE, "a folder"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.FIFOTYPE, "a device"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_links_and_devices_are_reported_and_never_created(members, tmp_path, kind, description, first):
    odd = {"network/graph.pb": special("network/graph.pb", kind, "/etc/passwd")}
    archive = tar(odd)[:512] + tar(GOOD) if first else tar(GOOD)[:2048] + tar(odd)
    members.add(pieces(archive), "it")
    if first:  # the last member with a name is used
        assert taken(members) == {"graph.pb": b"graph", "train.ini": b"ini"}
    else:
        assert members.not_files == {"graph.pb": description}
        assert everything(tmp_path) == ["out", "out/train.ini"]


def test_a_link_instead_of_the_folder_is_not_followed(members, tmp_path):
    (tmp_path / "target").mkdir()
    link = special("network", tarfile.SYMTYPE, str(tmp_path / "target"))
    members.add(pieces(tar({"network": link, **GOOD})), "it")
    assert not list((tmp_path / "target").iterdir())
    assert taken(members) == {"graph.pb": b"graph", "train.ini": b"ini"}
    members.not_files.clear()
    members.add(pieces(tar({"network": link})), "it")
    assert taken(members) == {"graph.pb": b"graph", "train.ini": b"ini"}


def test_the_last_of_two_members_with_the_same_name_is_used(members):
    archive = tar({"network/graph.pb": b"first"})[:1024] + tar(GOOD)
    members.add(pieces(archive), "it")
    assert taken(members)["graph.pb"] == b"graph"


def test_sparse_files_are_refused(members):
    member = tarfile.TarInfo("network/graph.pb")
    member.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "99999999999"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member)
    members.add(pieces(buffer.getvalue()), "it")
    assert members.not_files == {"graph.pb": "a sparse file"}


@pytest.mark.parametrize("size", [0, module.LARGEST["train.ini"] + 1])
def test_impossible_sizes_are_refused(members, size):
    with pytest.raises(GraphError, match=f"it: network/train.ini has {size} bytes; expected 1 to 1048576"):
        members.add(pieces(tar({"network/train.ini": b"x" * size})), "it")


def test_a_claimed_size_is_refused_before_anything_is_written(members, tmp_path):
    member = special("network/graph.pb", tarfile.REGTYPE)
    member.size = 2**40
    with pytest.raises(GraphError, match="1099511627776 bytes"):
        members.add(pieces(tar({"network/graph.pb": member})), "it")
    assert everything(tmp_path) == ["out"]


def header(kind, size, name="x"):
    member = special(name, kind)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_that_would_fill_the_memory_is_refused(members, kind):
    def endless():
        yield header(kind, 2**40)
        while True:
            yield b"1" * 65536

    with pytest.raises(GraphError, match="header claims more than"):
        members.add(endless(), "it")


def test_headers_without_end_are_refused(members):
    def endless():
        while True:
            yield header(tarfile.XGLTYPE, 20)
            yield b"20 comment=abcdefgh\n".ljust(512, b"\0")

    with pytest.raises(GraphError, match=r"it: "):
        members.add(endless(), "it")


@pytest.mark.parametrize("filling", [b"1", b"\n1", b"1 a", b"9 a=\n"])
def test_a_header_that_is_made_to_be_slow_is_read_quickly(members, filling):
    size = module.LARGEST_HEADER - 2048
    body = (filling * size)[:size].ljust(-(-size // 512) * 512, b"\0")
    start = time.monotonic()
    with suppress(GraphError):
        members.add(pieces(header(tarfile.XHDTYPE, size) + body + tar(GOOD), 2**20), "it")
    assert time.monotonic() - start < 20


def test_negative_sizes_do_not_loop(members):
    raw = bytearray(header(tarfile.REGTYPE, 0, "before"))
    raw[124:136] = b"\xff" * 10 + b"\xfc\x00"  # -1024 in GNU's base 256
    raw[148:156] = b"        "
    raw[148:156] = f"{sum(raw):06o}\0 ".encode()
    with pytest.raises(GraphError, match="it: "):
        members.add(pieces(tar({"a": b"x"})[:1024] + bytes(raw) + tar(GOOD)), "it")


@pytest.mark.parametrize("cut", [1, 511, 513, 1500, 2000])
def test_a_truncated_archive_is_an_error(members, cut):
    with pytest.raises(GraphError, match="it: "):
        members.add(pieces(tar({"network/graph.pb": b"g" * 3000})[:cut]), "it")


def test_a_damaged_header_is_not_treated_as_the_end(members):
    archive = bytearray(tar({"network/graph.pb": b"graph", "network/train.ini": b"ini"}))
    archive[1024 + 150] ^= 1
    with pytest.raises(GraphError, match="is damaged before byte 1536"):
        members.add(pieces(bytes(archive)), "it")


def test_content_that_is_not_an_archive_is_an_error(members):
    with pytest.raises(GraphError, match="it: is not a complete tar archive"):
        members.add(pieces(gzip.compress(b"x" * 5000)), "it")


def test_the_archive_is_read_to_its_end(members):
    after = pieces(tar(GOOD) + b"\0" * 100_000)
    members.add(after, "it")
    assert next(after, None) is None


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_damage_results_in_the_files_or_a_clear_error(tmp_path_factory, data):
    archive = bytearray(tar(GOOD))
    for _ in range(data.draw(st.integers(1, 4))):
        archive[data.draw(st.integers(0, 2047))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("out")
    members = Members(folder, NAMES)
    with suppress(GraphError):
        members.add(pieces(bytes(archive)), "it")
    assert {path.name for path in folder.iterdir()} <= set(NAMES)


def layers(members, *contents):
    """Add layers, the top one first, as for an image."""
    for content in contents:
        members.add(pieces(tar(content)), "it", layer=True)
    return taken(members)


def test_upper_layers_overwrite_lower_ones(members):
    assert layers(members, {"network/graph.pb": b"new"}, GOOD) == {"graph.pb": b"new", "train.ini": b"ini"}
    assert members.complete


@pytest.mark.parametrize(
    ("whiteout", "expected"),
    [
        ("network/.wh.graph.pb", {"train.ini": b"ini"}),
        ("network/.wh..wh..opq", {}),
        (".wh.network", {}),
        (".wh..wh..opq", {}),
        ("network/.wh.other", {"graph.pb": b"graph", "train.ini": b"ini"}),
        (".wh.other", {"graph.pb": b"graph", "train.ini": b"ini"}),
        ("other/.wh.graph.pb", {"graph.pb": b"graph", "train.ini": b"ini"}),
    ],
)
def test_whiteouts_hide_files_of_lower_layers(members, whiteout, expected):
    assert layers(members, {whiteout: b""}, GOOD) == expected


def test_whiteouts_do_not_hide_files_of_the_same_layer(members):
    upper = {"network/graph.pb": b"new", "network/.wh..wh..opq": b"", "network/.wh.graph.pb": b""}
    assert layers(members, upper, GOOD) == {"graph.pb": b"new"}
    assert members.complete


def test_a_file_instead_of_the_folder_hides_lower_layers(members):
    assert layers(members, {"network": b"a file"}, GOOD) == {}


def test_links_in_upper_layers_are_reported(members):
    link = special("network/graph.pb", tarfile.SYMTYPE, "other")
    assert layers(members, {"network/graph.pb": link}, GOOD) == {"train.ini": b"ini"}
    assert members.not_files == {"graph.pb": "a symbolic link"}


def test_whiteouts_outside_of_layers_are_ordinary_names(members):
    members.add(pieces(tar({**GOOD, "network/.wh.graph.pb": b"", ".wh.network": b""})), "it")
    assert taken(members) == {"graph.pb": b"graph", "train.ini": b"ini"}
