"""Test that files are written completely or not at all, hashes, JSON and synchronization to disk."""

import errno
import hashlib
import math
import os

import pytest

from scripts.lib import files
from scripts.lib.files import read_json, replacing, sha256, sync, write_bytes, write_json


def test_a_file_appears_only_when_complete(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as stream:
        stream.write("ü\r\n")
        assert not path.exists()
    assert path.read_bytes() == "ü\r\n".encode()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failed_write_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(error), replacing(path, "wb") as stream:  # noqa: PT012
        stream.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


def test_json_is_read_as_written(tmp_path):
    content = {"name": "日本 'x' \"y\" \ud83d \\ud800", "values": [1, 2.5, None, True]}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_writing_nan_or_infinity_as_json_fails(tmp_path, value):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"x": value})
    assert list(tmp_path.iterdir()) == []


def test_the_hash_of_a_file_is_that_of_its_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def no_fsync(_):
    raise AssertionError("fsync was called")


def test_a_file_that_is_synced_later_is_complete_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", no_fsync)
    write_bytes(tmp_path / "a", b"abc", synced=False)
    assert (tmp_path / "a").read_bytes() == b"abc"
    with pytest.raises(AssertionError):
        write_bytes(tmp_path / "b", b"abc")
    assert not (tmp_path / "b").exists()


@pytest.fixture
def three(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        write_bytes(path, b"abc", synced=False)
    return paths


def test_files_of_one_disk_are_synced_at_once(three, monkeypatch):
    disks = []

    class Libc:
        @staticmethod
        def syncfs(descriptor):
            disks.append(os.fstat(descriptor).st_dev)
            return 0

    monkeypatch.setattr(files, "_LIBC", Libc)
    monkeypatch.setattr(os, "fsync", no_fsync)
    sync(three)
    assert disks == [three[0].stat().st_dev]
    sync([])
    assert len(disks) == 1


def test_files_are_synced_one_by_one_without_syncfs(three, monkeypatch):
    synced = []
    monkeypatch.setattr(files, "_LIBC", object())
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    sync(three)
    assert synced == [path.stat().st_ino for path in three]


def test_a_failing_disk_raises_an_error(three, monkeypatch):
    class Libc:
        @staticmethod
        def syncfs(_):
            return -1

    monkeypatch.setattr(files, "_LIBC", Libc)
    monkeypatch.setattr("ctypes.get_errno", lambda: errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        sync(three)


def test_syncing_with_this_system(three):
    sync(three)
    three[1].unlink()
    with pytest.raises(FileNotFoundError):
        sync(three)
