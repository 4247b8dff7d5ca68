"""The workflow's scripts; if a package is missing or a script is interrupted, they print a sentence, no traceback."""

import sys

TYPE_CHECKING = False  # importing typing first would delay the hook
if TYPE_CHECKING:
    from types import TracebackType


def _show(kind: type[BaseException], error: BaseException, trace: "TracebackType | None") -> None:
    """Print what to do if a package is missing or a command was interrupted; show other errors as Python does."""
    if issubclass(kind, KeyboardInterrupt) or _was_interrupted():
        if not _is_part_of_run():  # otherwise the run prints it, once
            sys.stderr.write("interrupted; the same command continues the work\n")
        return
    from pathlib import Path

    command = getattr(sys.modules.get("__main__"), "__file__", None)
    ours = command is not None and Path(command).resolve().is_relative_to(Path(__file__).resolve().parent)
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    if not ours or name is None or name.partition(".")[0] == "scripts":
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(
        f"the package {name} is missing in {sys.executable}; expected the workflow's environment: in its folder, "
        "`make setup && . .venv/bin/activate` makes and enters it\n"
    )


def _is_part_of_run() -> bool:
    """Return whether a run started this process (lib/workflow/processes/startup/sitecustomize.py)."""
    return getattr(sys.modules.get("sitecustomize"), "PART_OF_A_RUN", False)


def _was_interrupted() -> bool:
    """Return whether this process was interrupted: a library that was being imported may have raised another error."""
    interrupts = sys.modules.get("scripts.lib.workflow.processes.interrupts")
    return interrupts is not None and bool(interrupts.was_interrupted())


def _show_ignored(args: "sys.UnraisableHookArgs") -> None:
    """Show an exception that Python ignores, except an interrupt: a second one, or one while Python exits."""
    if not issubclass(args.exc_type, KeyboardInterrupt):
        _before(args)


sys.excepthook = _show
_before, sys.unraisablehook = sys.unraisablehook, _show_ignored
