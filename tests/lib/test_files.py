"""A file at its final name is complete."""

import hashlib
import math

import pytest

from scripts.lib.files import read_json, replacing, sha256, write_json


def test_file_appears_whole(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as stream:
        stream.write("ü\r\n")
        assert not path.exists()
    assert path.read_bytes() == "ü\r\n".encode()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_failed_writing_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(error), replacing(path, "wb") as stream:  # noqa: PT012
        stream.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


def test_json_comes_back(tmp_path):
    content = {"name": "日本 'x' \"y\" \ud83d \\ud800", "values": [1, 2.5, None, True]}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_json_refuses_what_it_has_no_word_for(tmp_path, value):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"x": value})
    assert list(tmp_path.iterdir()) == []


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
