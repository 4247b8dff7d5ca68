"""Let an interrupted process of a run end without a traceback; the run says that the same command continues it.

Python imports this file by its name at the start of each process whose PYTHONPATH names this folder, before Snakemake
or a library, whose imports take a second or more. scripts/lib/workflow/interrupts.py passes the folder on.
"""

import sys

TYPE_CHECKING = False  # each import would leave a moment without the hooks
if TYPE_CHECKING:
    from types import TracebackType

PART_OF_A_RUN = True
_show, _show_ignored = sys.excepthook, sys.unraisablehook


def _except(kind: type[BaseException], error: BaseException, trace: "TracebackType | None") -> None:
    """Show an exception as Python does, but no interrupt."""
    if not issubclass(kind, KeyboardInterrupt):
        _show(kind, error, trace)


def _ignored(args: "sys.UnraisableHookArgs") -> None:
    """Show an exception that Python ignores, as while it ends, but no interrupt."""
    if not issubclass(args.exc_type, KeyboardInterrupt):
        _show_ignored(args)


sys.excepthook, sys.unraisablehook = _except, _ignored
