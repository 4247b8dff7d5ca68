"""End a run that cannot be planned with a message."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from scripts.lib.errors import PipelineError


@contextmanager
def errors_as_messages(say: Callable[[str], object]) -> Iterator[None]:
    """End this process with an error's message only: Snakemake would add the lines of code that led to it.

    Args:
        say: shows the message.

    Raises:
        SystemExit: there was an error that is meant for users.
    """
    try:
        yield
    except PipelineError as error:
        say(str(error))
        raise SystemExit(1) from None
