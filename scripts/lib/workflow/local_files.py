"""Check the files and folders that the settings name, before anything is planned with them."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from scripts.lib.display_text import shown
from scripts.lib.errors import SettingsError
from scripts.lib.evaluation import truth_check

# Section, key, and whether it names a folder. tator.media_file and media.folder are not here: they have been read by
# then (see media_list and folder_source/run_listing)
_PATHS = (
    ("network", "directory", True),
    ("network", "archive", False),
    ("network", "ca_file", False),
    ("tator", "ca_file", False),
    ("evaluate", "truth_file", False),
    ("evaluate", "track_truth_file", False),
)


def check(settings: Mapping[str, Any], media_ids: Collection[int], *, detects: bool = True) -> None:
    """Refuse names of files and folders that are not there; relative ones count from the current folder.

    Args:
        settings: of the run.
        media_ids: the run's media.
        detects: whether the network is used.

    Raises:
        SettingsError: one line for each: the key, the value, what is expected.
    """
    problems = []
    for section, key, is_folder in _PATHS:
        value = settings[section][key] if detects or section != "network" else None
        if value and (found := problem(value, is_folder=is_folder)):
            problems.append(f"  - {section}.{key}: {shown(value)} {found}")
    truth = settings["evaluate"]["truth_file"]
    if truth and not problems and (found := truth_check.problem(Path(truth), media_ids)):
        problems.append(f"  - evaluate.truth_file: {shown(truth)} {found}")
    if problems:
        raise SettingsError("\n".join(["the configuration cannot be used:", *problems]))


def problem(value: str, *, is_folder: bool) -> str | None:
    """Return what is wrong with the name of a file or a folder, None if it is there."""
    kind = "a folder" if is_folder else "a file"
    if value.startswith("~"):
        return f"begins with ~, which only a shell replaces; expected the whole path: {Path.home()}/..."
    if "\0" in value:
        return f"holds a NUL character; expected the name of {kind}"
    path = Path(value)
    try:
        if path.is_dir() if is_folder else path.is_file():
            return None
        there = path.exists()
    except OSError as error:
        return f"cannot be looked at ({error.strerror}); expected {kind}"
    if there:
        return f"is not {kind}; expected {kind}: correct the name"
    return f"does not exist {_where(path)}; expected {kind}: correct the name, or make it"


def _where(path: Path) -> str:
    """Say where a relative name was looked for."""
    return f"(looked for at {shown(str(path.absolute()))[1:-1]})"
