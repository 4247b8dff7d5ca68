"""Run a command's main function: errors become one sentence without secrets, and an exit code; check arguments."""

import argparse
import logging
import os
import sys
from collections.abc import Callable

from scripts.lib.errors import PipelineError
from scripts.lib.network_access.token import Redacting, redact
from scripts.lib.workflow.processes import interrupts


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


def positive(text: str) -> int:
    """Return the whole number in an argument; argparse refuses the argument if it is less than 1 or no number."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def name_and_value(text: str) -> tuple[str, str]:
    """Return the name and the value in an argument; argparse refuses the argument if it is not NAME=VALUE."""
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
