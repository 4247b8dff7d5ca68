"""End a run that cannot be planned with a message instead of a traceback."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from scripts.lib.errors import PipelineError


@contextmanager
def errors_as_messages(show: Callable[[str], object]) -> Iterator[None]:
    """End this process with an error's message only: Snakemake would add lines of the workflow's code.

    Args:
        show: the function that shows the message.

    Raises:
        SystemExit: a PipelineError was raised.
    """
    try:
        yield
    except PipelineError as error:
        show(str(error))
        raise SystemExit(1) from None
