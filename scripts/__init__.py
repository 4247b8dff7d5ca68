"""The workflow's scripts; a command that is started without its packages says so in one sentence."""

import sys
from pathlib import Path
from types import TracebackType


def _tell_missing_package(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say what to do where a command of this folder lacks a package; show any other exception as Python does."""
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


sys.excepthook = _tell_missing_package
