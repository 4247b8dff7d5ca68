"""Detect in the pictures and videos of a folder: write a settings file, run the workflow, and name the report.

    python -m scripts.commands.detect_folder FOLDER --network FILE_OR_FOLDER

The results are written to another folder (--out); the files are read in place and never changed. The same command
continues a run that was stopped, and processes only files that were added or changed. See docs/folder.md.
"""

import argparse
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from scripts.lib import command_line
from scripts.lib.errors import SettingsError
from scripts.lib.files import write_bytes
from scripts.lib.folder_source.listing import shown_path
from scripts.lib.graphs.class_names import TRAIN_INI, name_files
from scripts.lib.graphs.external import weight_files_in_folder
from scripts.lib.graphs.file_names import GRAPHS, ending
from scripts.lib.text import yaml_text
from scripts.lib.workflow.configuration import folder_settings
from scripts.lib.workflow.configuration import settings as run_settings
from scripts.lib.workflow.processes import import_path, interrupts

ROOT = Path(__file__).resolve().parents[2]
_GRAPH_NAMES = f"{', '.join(GRAPHS[:-1])} or {GRAPHS[-1]}"
EXPORTS = ("parquet", "crops", "megadetector", "yolo", "cvat", "label_studio")
# Variables for runs on media in Tator; they are not passed on, as they may be set in a user's shell.
_OF_TATOR = re.compile(r"TATOR_(?!PATIENCE|ANSWER|DETECT|REGISTRY|METRICS)")
# The same for a run with upload.match, which needs Tator's address and token.
_OF_MEDIA = re.compile(r"TATOR_(MEDIA|PIPELINE|WORK)")


def find_graph(network: Path) -> Path:
    """Return the graph of a network.

    Args:
        network: a folder with a graph, or a graph; files that name its classes may be next to it.

    Raises:
        SettingsError: there is no graph, or no train.ini next to a graph.pb.
    """
    if network.is_dir():
        graphs = [name for name in GRAPHS if (network / name).is_file()]
        if not graphs:
            raise SettingsError(f"--network: {network} contains no {_GRAPH_NAMES}; name the file to use")
        if len(graphs) > 1:
            raise SettingsError(
                f"--network: {network} contains {len(graphs)} graphs ({', '.join(graphs)}); name one of them"
            )
        graph = network / graphs[0]
    elif network.is_file():
        graph = network
    else:
        raise SettingsError(f"--network: {network} does not exist; expected a graph, or a folder with one")
    if f"graph{graph.suffix}" not in GRAPHS:
        raise SettingsError(f"--network: {graph} {ending(graph)}; expected .pb, .onnx or .xml")
    names = graph.with_name(TRAIN_INI)
    if graph.suffix == ".pb" and not names.is_file():
        raise SettingsError(
            f"--network: {names} does not exist; expected the file that names the species, see README.md"
        )
    return graph


def network_settings(graph: Path, out: Path) -> dict[str, Any]:
    """Return the settings that name a network, by its graph, or by links in the run's folder (link_network)."""
    folder = graph.parent if graph.name in GRAPHS else out / "network"
    return {"directory": str(folder.absolute()), "graph": f"graph{graph.suffix}"}


def link_network(graph: Path, out: Path) -> None:
    """Link the files of a network in the run's folder, if its graph has another name than a run expects."""
    if graph.name in GRAPHS:
        return
    folder = out / "network"
    folder.mkdir(parents=True, exist_ok=True)
    links = {f"graph{graph.suffix}": graph, **{name: graph.with_name(name) for name in name_files()}}
    if graph.suffix == ".xml":
        links["graph.bin"] = graph.with_suffix(".bin")
    if graph.suffix == ".onnx":
        links |= {name: graph.with_name(name) for name in weight_files_in_folder(graph)}
    for name, target in links.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).unlink(missing_ok=True)
        if target.is_file():
            (folder / name).symlink_to(target.absolute())


def _last_graph(network: Mapping[str, Any], out: Path) -> Path | None:
    """Return the graph that stored settings name, rather than a link to it; None if it does not exist (any more)."""
    path = out / str(network.get("directory") or "") / str(network.get("graph") or "")
    last = path.parent / path.readlink() if path.is_symlink() else path
    return last if last.is_file() else None


def settings_of(options: argparse.Namespace, out: Path) -> tuple[dict[str, Any], Path | None]:
    """Return the settings in the run's settings file, updated from the command's options, and the last run's graph.

    Raises:
        SettingsError: the settings file cannot be read or is that of another folder, or an option is wrong.
    """
    if not options.folder.is_dir():
        raise SettingsError(f"{options.folder}: is not a folder; expected one with pictures or videos")
    path = out / "settings.yaml"
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else "{}"
        before = yaml_text.parse(text)
        yaml_text.check(text)
    except ValueError as error:
        raise SettingsError(f"{path}: cannot be read as YAML ({error}); correct it, or remove it") from None
    if not isinstance(before, dict) or not all(isinstance(part, dict | None) for part in before.values()):
        raise SettingsError(f"{path}: is not a settings file; correct it, or remove it")
    found: dict[str, Any] = {section: dict(part or {}) for section, part in before.items()}
    last = out / str(found.get("media", {}).get("folder") or options.folder.absolute())
    if last.is_dir() and not last.samefile(options.folder):
        raise SettingsError(f"{out} holds the results of {last}; name another folder with --out")
    for section in ("media", "network", "detect", "export"):
        found.setdefault(section, {})
    found["media"] = {"per_job": "auto"} | found["media"] | {"folder": str(options.folder.absolute())}
    graph, last_graph = find_graph(options.network), _last_graph(found["network"], out)
    found["network"] |= network_settings(graph, out)
    if options.size:
        found["detect"] |= {"img_max_side": options.size[0], "img_min_side": options.size[1]}
    elif last_graph and not last_graph.samefile(graph):
        stored = [found["detect"].pop(side, None) for side in ("img_max_side", "img_min_side")]
        graph_shown = shown_path(str(last_graph))
        message = f"the size of the last network ({graph_shown}) is not used; --size sets another\n"
        sys.stderr.write(message if any(stored) else "")
    if options.tiles:
        sides = None if options.tiles == "auto" else dict(zip(("width", "height"), options.tiles, strict=True))
        found["detect"]["tiles"] = sides or "auto"
    if options.threshold is not None:
        found["detect"]["keep_threshold"] = options.threshold
    found["export"] |= dict.fromkeys(options.export, True)
    return {section: part for section, part in found.items() if part}, last_graph


def detect_folder(options: argparse.Namespace) -> int:
    """Write the settings, run the workflow, and print the path of the report; return the run's exit code.

    Raises:
        SettingsError: an option is wrong.
    """
    out = options.out or Path(f"{_without_braces(options.folder.absolute().name) or 'root'}_detections")
    settings, last_graph = settings_of(options, out)
    left_out = _OF_MEDIA if folder_settings.is_matched(settings) else _OF_TATOR
    environ = {name: value for name, value in os.environ.items() if not left_out.match(name)}
    _check(settings, environ)
    link_network(find_graph(options.network), out)
    out.mkdir(parents=True, exist_ok=True)
    # The next run reads settings.yaml, so a dry run must not change it.
    path = out / ("settings.dry-run.yaml" if options.dry_run else "settings.yaml")
    write_bytes(path, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).encode())
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory"]
    command += [str(out.absolute()), "--workflow-profile", str(ROOT / "profiles" / "default")]
    command += ["--configfile", str(path.absolute())]
    command += ["--cores", str(options.cores)] if options.cores else []
    command += ["--dry-run"] if options.dry_run else []
    sys.stderr.write(f"settings: {shown_path(str(path))}\n")
    import_path.leave_out_current_folder(environ)
    code = interrupts.run_to_its_end(command, environ)
    if options.dry_run and last_graph:
        link_network(last_graph, out)
    report = out.absolute() / "results" / "overview.html"
    if not options.dry_run and report.exists() and (code == 0 or _is_concluded(out, path)):
        sys.stdout.write(f"report: {shown_path(str(report))}\n")
    return code


def _check(settings: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Refuse settings that a run would refuse, before they are stored and spoil later runs too.

    Raises:
        SettingsError: one line for each problem.
    """
    schema = yaml.safe_load((ROOT / "config" / "config.schema.yaml").read_text(encoding="utf-8"))
    complete = {section: settings.get(section, {}) for section in schema["properties"]}
    # The path of a file with media counts from the run's folder; the run itself reads it.
    run_settings.resolve({**settings, **complete}, environ, schema, read_media=lambda _: [1])


def _is_concluded(out: Path, settings: Path) -> bool:
    """Return whether the run with these settings came to its last job; if not, the report is of an earlier run."""
    log = out / "logs" / "conclude.log"
    return log.exists() and log.stat().st_mtime >= settings.stat().st_mtime


def _folder(text: str) -> Path:
    """Return a folder by a path whose last part is its name."""
    path = command_line.path(text)
    return path.resolve() if ".." in path.parts else path


def _without_braces(name: str) -> str:
    """Return a name for a folder that settings may name: Snakemake replaces text in braces."""
    return re.sub(r"[{}]", "_", name)


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r}; expected WIDTHxHEIGHT in pixels, as 1280x720")
    return int(found[1]), int(found[2])


def _tiles(text: str) -> tuple[int, int] | str:
    return text if text == "auto" else _size(text)


def main(arguments: list[str] | None = None) -> int:
    """Read the command line; return the run's exit code, or 1 if an option is wrong."""
    parser = command_line.Parser(
        prog="python -m scripts.commands.detect_folder",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=_folder, help="folder with pictures and videos, also in its sub-folders")
    parser.add_argument(
        "--network",
        type=command_line.path,
        required=True,
        help="a graph (.pb, .onnx, .xml), or its folder; a .pb needs train.ini next to it",
    )
    parser.add_argument(
        "--size",
        type=_size,
        metavar="WIDTHxHEIGHT",
        help="size in pixels that the network was trained at, if no file of the network has it",
    )
    parser.add_argument(
        "--tiles",
        type=_tiles,
        metavar="auto|WIDTHxHEIGHT",
        help="cut large pictures into tiles of the network's size or of this size",
    )
    parser.add_argument(
        "--out",
        type=command_line.output_folder,
        help="folder for settings and results (default: FOLDER_detections)",
    )
    parser.add_argument("--threshold", type=float, help="the least score of a box (0.3)")
    parser.add_argument(
        "--export",
        action="extend",
        nargs="+",
        choices=EXPORTS,
        default=[],
        help="also write the boxes in this format",
    )
    parser.add_argument(
        "--cores", type=command_line.positive, help="number of this machine's cores to use (default: all)"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and end")
    options = parser.parse_args(arguments)
    codes: list[int] = []
    return command_line.run(lambda: codes.append(detect_folder(options))) or codes[0]


if __name__ == "__main__":
    sys.exit(main())
