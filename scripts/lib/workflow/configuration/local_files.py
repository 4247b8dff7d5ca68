"""Check the files and folders that the settings name, before anything is planned with them."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.files import home
from scripts.lib.graphs.train_ini import species
from scripts.lib.network_access.certificates import check_certificates
from scripts.lib.text.display_text import shown

# Section, key, and whether it names a folder. tator.media_file and media.folder are not listed, as they are read
# earlier (see media_list and folder_source/run_listing).
_PATHS = (
    ("network", "directory", True),
    ("network", "archive", False),
    ("network", "ca_file", False),
    ("tator", "ca_file", False),
    ("evaluate", "truth_file", False),
    ("evaluate", "track_truth_file", False),
)


def check(settings: Mapping[str, Any], media_ids: Collection[int], *, detects: bool = True) -> None:
    """Check files and folders; relative names are relative to the current folder.

    Args:
        settings: the settings of the run.
        media_ids: the run's media.
        detects: whether the network is used.

    Raises:
        SettingsError: one does not exist, or cannot be used as truth or certificates; one line for each problem: the
            key, the value, what is expected.
    """
    problems = []
    for section, key, is_folder in _PATHS:
        value = settings[section][key] if detects or section != "network" else None
        if not value:
            continue
        if found := problem(value, is_folder=is_folder):
            problems.append(f"  - {section}.{key}: {shown(value)} {found}")
        elif key == "ca_file":
            try:
                check_certificates(Path(value), f"{section}.{key}")
            except SettingsError as error:
                problems.append(f"  - {error}")
    problems = problems or [f"  - {line}" for line in _problems_of_truth(settings, media_ids)]
    if problems:
        raise SettingsError("\n".join(["the settings cannot be used:", *problems]))


def _problems_of_truth(settings: Mapping[str, Any], media_ids: Collection[int]) -> list[str]:
    """Return a line for each problem of the files of true boxes and tracks."""
    boxes, tracks = (settings["evaluate"][key] for key in ("truth_file", "track_truth_file"))
    if not boxes and not tracks:
        return []
    from scripts.lib.evaluation import truth_check  # slow to import

    found = {}
    if boxes:
        names = _names(settings["network"]["directory"])
        found["truth_file"] = truth_check.problem_of_boxes(Path(boxes), media_ids, names)
    if tracks:
        found["track_truth_file"] = truth_check.problem_of_tracks(Path(tracks), media_ids)
    return [
        f"evaluate.{key}: {shown(settings['evaluate'][key])} {problem}" for key, problem in found.items() if problem
    ]


def _names(directory: str | None) -> list[str] | None:
    """Return the species of a network in a folder; None if they cannot be read, as get_network reports that."""
    try:
        return species(Path(directory, "train.ini")) if directory else None
    except GraphError:
        return None


def make_run_folder(value: str) -> str:
    """Make the folder that TATOR_WORK_DIR names, unless it exists, and return its name.

    Raises:
        SettingsError: it is not a folder and cannot be made.
    """
    if not value.startswith("~"):
        with suppress(OSError):  # then it does not exist
            Path(value).mkdir(parents=True, exist_ok=True)
    if found := problem(value, is_folder=True):
        raise SettingsError(f"TATOR_WORK_DIR: {shown(value)} {found}")
    return value


def problem(value: str, *, is_folder: bool) -> str | None:
    """Return what is wrong with the name of a file or a folder; None if it exists."""
    kind = "a folder" if is_folder else "a file"
    if value.startswith("~"):
        return f"begins with ~, which only a shell replaces; expected the whole path: {home() or '/home/NAME'}/..."
    if "\0" in value:
        return f"contains a NUL character; expected the name of {kind}"
    path = Path(value)
    try:
        if path.is_dir() if is_folder else path.is_file():
            return None
        there = path.exists()
    except OSError as error:
        return f"cannot be accessed ({error.strerror}); expected {kind}"
    if there:
        return f"is not {kind}; expected {kind}: correct the name"
    return f"does not exist{_where(path)}; expected {kind}: correct the name, or create it"


def _where(path: Path) -> str:
    """Return the part of a message about where a relative name was searched."""
    return "" if path.is_absolute() else f" (looked for at {shown(str(path.absolute()))[1:-1]})"
