"""A job's log: output of native libraries on file descriptors 1 and 2 is cleaned, and none of it is lost."""

import signal
import time

import pytest

from scripts.lib.workflow.jobs.log_filter import LONGEST_LINE, Cleaner
from tests.lib.workflow.jobs.test_job import run

SECRET = "0123456789abcdef0123456789abcdef01234567"
REPLACED = "\N{REPLACEMENT CHARACTER}"
# Output of a library that a network, a media or a server may cause, and the line in the log.
HOSTILE = {
    "colour": (b"\x1b[31mred\x1b[0m", f"{REPLACED}[31mred{REPLACED}[0m"),
    "title": (b"\x1b]0;owned\x07", f"{REPLACED}]0;owned{REPLACED}"),
    "C1 as UTF-8": (b"\xc2\x9b2J", f"{REPLACED}2J"),
    "C1 as a byte": (b"\x9b2J", f"{REPLACED}2J"),
    "overwritten": (b"bad\rgood\b\b", f"bad{REPLACED}good{REPLACED}{REPLACED}"),
    "bidirectional": ("\u202etxt.exe\u2066".encode(), f"{REPLACED}txt.exe{REPLACED}"),
    "other line ends": ("one\u2028two\u0085three\x0bfour".encode(), f"one{REPLACED}two{REPLACED}three{REPLACED}four"),
    "tag letters": ("a\U000e0041b".encode(), f"a{REPLACED}b"),
    "cut UTF-8": (b"\xe2\x82", REPLACED),
    "Windows": (b"one\r", "one"),
    "authorization": (f"Token {SECRET}".encode(), "Token <secret>"),
    "address": (b"GET http://store/x.mp4?X-Amz-Signature=abcdef", "GET http://store/x.mp4?<removed>"),
}


@pytest.mark.parametrize("descriptor", [1, 2])
def test_output_of_libraries_is_cleaned(tmp_path, descriptor):
    body = f"os.write({descriptor}, {b''.join(given + bytes([10]) for given, _ in HOSTILE.values())!r})"
    done, log = run(tmp_path, body)
    assert done.returncode == 0, done.stderr
    lines = log.split("\n")
    for name, (_, expected) in HOSTILE.items():
        assert expected in lines, name


def test_output_of_python_is_cleaned(tmp_path):
    """Of threads, warnings, child processes and exceptions."""
    body = (
        "import threading, warnings; text = chr(27) + '[2J'; warnings.warn(text); print(text); "
        "thread = threading.Thread(target=lambda: 1 / text.missing); thread.start(); thread.join(); "
        "os.system('printf \"\\\\033c\"'); raise ValueError(text)"
    )
    done, log = run(tmp_path, body)
    assert done.returncode == 1
    assert "\x1b" not in log + done.stdout + done.stderr
    assert log.count(f"{REPLACED}[2J") >= 3
    assert f"{REPLACED}c" in log


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_last_output_of_a_killed_job(tmp_path, number):
    """Also if the whole process group is killed, and the last line has no line break."""
    body = f"os.setpgid(0, 0); os.write(2, b'x' * 300_000 + bytes([10]) + b'last words'); os.killpg(0, {int(number)})"
    done, log = run(tmp_path, body)
    assert done.returncode == -number
    deadline = time.monotonic() + 20
    while not log.endswith("last words") and time.monotonic() < deadline:
        time.sleep(0.05)
        log = (tmp_path / "logs" / "work.log").read_text()
    assert log.endswith("last words")


def test_a_library_that_holds_pythons_lock_may_write_much(tmp_path):
    """More than a pipe can hold."""
    body = (
        "import ctypes; text = b'y' * 99 + bytes([10]); "
        "[ctypes.PyDLL(None).write(2, text * 1000, 100_000) for _ in range(20)]"
    )
    done, log = run(tmp_path, body)
    assert done.returncode == 0
    assert log.count("y" * 99 + "\n") == 20_000


def test_a_job_does_not_wait_for_its_background_processes(tmp_path):
    start = time.monotonic()
    done, log = run(tmp_path, "os.system('sleep 20 &'); print('all')")
    assert done.returncode == 0
    assert "all" in log
    assert time.monotonic() - start < 15


def test_lines_in_pieces_of_any_size():
    given = "one\r\ntwo \x1b[1m\u202e€\nthree".encode()
    expected = f"one\ntwo {REPLACED}[1m{REPLACED}€\nthree"
    for size in range(1, len(given) + 1):
        cleaner = Cleaner()
        pieces = [given[at : at + size] for at in range(0, len(given), size)]
        assert "".join([*map(cleaner.feed, pieces), cleaner.feed(b"", final=True)]) == expected


def test_a_very_long_line_is_cut():
    cleaner = Cleaner()
    for _ in range(100):
        assert cleaner.feed(b"z" * 10_000) == ""
    line = cleaner.feed(b"\nnext\n")
    assert line == "z" * LONGEST_LINE + " ... (line cut)\nnext\n"
