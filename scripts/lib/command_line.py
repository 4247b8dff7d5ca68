"""Run a command's main function: errors become one sentence without secrets, and an exit code; check arguments."""

import argparse
import logging
import math
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from scripts.lib.errors import PipelineError, SettingsError
from scripts.lib.network_access.token import Redacting, redact
from scripts.lib.workflow.processes import interrupts

# The limits of detect.img_max_side in config/config.schema.yaml.
LEAST_SIDE, LARGEST_SIDE = 32, 16384


def run(work: Callable[[], None]) -> int:
    """Call `work`; return 0, or write the error to standard error and return 1."""
    interrupts.raise_interrupts()
    handler = logging.StreamHandler()
    handler.setFormatter(Redacting("%(message)s"))
    logging.basicConfig(handlers=[handler])
    try:
        work()
    except PipelineError as error:
        sys.stderr.write(f"{redact(str(error))}\n")
        return 1
    except BrokenPipeError:  # the reader has closed the pipe, and Python would flush it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        sys.stderr.write(redact(f"{error.filename or 'standard output'}: {error.strerror}") + "\n")
        return 1
    return 0


class Parser(argparse.ArgumentParser):
    """Parse a command line; refuse an option with two values, of which argparse would use the last without a word."""

    def __init__(self, **options: Any) -> None:
        """Pass the options on."""
        super().__init__(**options)
        self.register("action", None, _StoreOnce)


class _StoreOnce(argparse.Action):
    """Store the value of an option, which may be repeated with the same value only."""

    _is_given = False

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Store the value; the message has no values, as that of --host may contain a password."""
        if self._is_given and getattr(namespace, self.dest) != values:
            raise argparse.ArgumentError(self, "it is given twice, with different values; expected one of them")
        self._is_given = True
        setattr(namespace, self.dest, values)


def positive(text: str) -> int:
    """Return the whole number in an argument; argparse refuses the argument if it is less than 1 or no number."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def share(text: str) -> float:
    """Return the number in an argument; argparse refuses the argument if it is not from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number from 0 to 1")
    return value


def not_empty(text: str) -> str:
    """Return the text of an argument; argparse refuses an empty one, such as that of a variable that is not set."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is empty; expected a text, or leave the option out")
    return text


def side(text: str) -> int:
    """Return the side of a network's input in pixels; argparse refuses what detect.img_max_side would not accept."""
    if not text.isascii() or not text.isdecimal() or not LEAST_SIDE <= int(text) <= LARGEST_SIDE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {LEAST_SIDE} to {LARGEST_SIDE}")
    return int(text)


def path(text: str) -> Path:
    """Return the path in an argument; argparse refuses an empty one, which would be the current folder."""
    return Path(not_empty(text))


class StorePairs(argparse.Action):
    """Store the NAME=VALUE of each use of an option in a dict; refuse a name with two values."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Store one pair."""
        name, separator, value = values.partition("=")
        if not name or not separator:
            raise argparse.ArgumentError(self, f"{values!r} is not NAME=VALUE")
        found = getattr(namespace, self.dest)
        if found.get(name, value) != value:
            message = f"{name} is given as {found[name]!r} and as {value!r}; expected one of them"
            raise argparse.ArgumentError(self, message)
        setattr(namespace, self.dest, {**found, name: value})


def output_file(text: str) -> Path:
    """Return the file in an argument; argparse refuses the argument if such a file cannot be written."""
    file = path(text)
    _check_name(file.with_name(f".{file.name}.part") if file.name else file, text)  # see files.replacing
    if file.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder; expected the name of a file")
    if file.exists() and not file.is_file():  # it would be replaced
        raise argparse.ArgumentTypeError(f"{text!r} is a device or a pipe; expected the name of a file")
    if not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: there is no folder {str(file.parent)!r}; make it first")
    _check_writable(file.parent, text)
    return file


def output_folder(text: str) -> Path:
    """Return the folder in an argument; argparse refuses the argument if it cannot be made or written to."""
    folder = path(text)
    _check_name(folder, text)
    there = next(one for one in (folder, *folder.absolute().parents) if os.path.lexists(one))
    if not there.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: {str(there)!r} is not a folder; expected the name of a folder")
    _check_writable(there, text)
    return folder


def refuse_to_replace(read: Iterable[Path | None], output: Path | None, option: str) -> None:
    """Refuse an output that would replace a file which the command reads.

    Raises:
        SettingsError: the output is one of the files that are read.
    """
    if output is not None and output.exists():
        for file in read:
            if file is not None and file.exists() and file.samefile(output):
                raise SettingsError(f"{option}: {output} is the file that is read; expected another name")


def _check_name(file: Path, text: str) -> None:
    """Refuse a name that the system refuses, such as one that is too long."""
    try:
        os.lstat(file)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error.strerror}; choose another name") from None


def _check_writable(folder: Path, text: str) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"{text!r}: {str(folder)!r} cannot be written to; choose another folder")
