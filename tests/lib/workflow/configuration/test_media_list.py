"""Files of media ids: the ids are read, or the message names the invalid line."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.lib.errors import SettingsError
from scripts.lib.workflow.configuration import media_list


def read(folder, content):
    path = folder / "media.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return media_list.read(path)


@pytest.mark.parametrize(
    "content", ["7\n2\n7", "# two\n\n  7 \n2 # the second\n\t7\n", "\ufeff7\r\n2\r\n7\r\n", "007\n2\n7\n"]
)
def test_ids_blank_lines_and_comments(tmp_path, content):
    assert read(tmp_path, content) == [7, 2, 7]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("7\n12x\n", "line 2: '12x'; expected on each line one media id"),
        ("7,2\n", "line 1: '7,2'"),
        ("0\n-1\n1.5\n²\n", "line 1: '0', line 2: '-1', line 3: '1.5', line 4: '²';"),
        ("9" * 5000, f"line 1: '{'9' * 40}';"),
        ("a\n" * 9, "line 5: 'a' and 4 more; expected"),
        ("\x1b]0;x\x07", r"line 1: '\\x1b\]0;x\\x07';"),
        ("# none\n", "it names no media"),
        (b"\xff\xfe7\x00", "it is not text in UTF-8"),
    ],
)
def test_other_content_is_named_with_its_line(tmp_path, content, message):
    with pytest.raises(SettingsError, match=f"tator.media_file: .*media.txt: .*{message}"):
        read(tmp_path, content)


def test_file_that_does_not_exist(tmp_path):
    with pytest.raises(SettingsError, match=f"tator.media_file: {tmp_path / 'none'}: No such file"):
        media_list.read(tmp_path / "none")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 10**18 - 1), min_size=1), st.lists(st.text()))
def test_written_ids_are_read_again_with_any_remarks(tmp_path, media_ids, remarks):
    media_list.write(tmp_path / "media.txt", media_ids, remarks)
    assert media_list.read(tmp_path / "media.txt") == media_ids


def test_folders_devices_and_pipes_are_refused_without_reading(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, kind in ((tmp_path, "folder"), (Path("/dev/zero"), "device or a pipe"), (pipe, "device or a pipe")):
        with pytest.raises(SettingsError, match=f"tator.media_file: {path}: it is a {kind}; expected a file"):
            media_list.read(path)


def test_a_file_that_is_too_large(tmp_path):
    path = tmp_path / "media.txt"
    with path.open("wb") as stream:
        stream.truncate(media_list.LARGEST_BYTES + 1)
    with pytest.raises(SettingsError, match=f"it has {media_list.LARGEST_BYTES + 1} bytes, at most"):
        media_list.read(path)
