"""Register the workflow as an algorithm in a Tator project, or update the one that is registered.

    python -m scripts.commands.register_algorithm deploy/argo/single-pod.yaml --name "Detect fish" --config my.yaml
        --set image=REGISTRY/tator-detection:1.0.0 --set storage_class=fast

Project, manifest and settings are checked, and everything that is missing is listed at once. Without --apply nothing is
changed: the command only prints what it would do.
"""

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from scripts.lib import command_line, tator_options
from scripts.lib.errors import SettingsError
from scripts.lib.files import replacing
from scripts.lib.network_access.token import redact
from scripts.lib.registering import manifest
from scripts.lib.registering.registration import FILES_PER_JOB, AlgorithmSpec, make_plan
from scripts.lib.text import yaml_text
from scripts.lib.text.display_text import shown
from scripts.lib.workflow.configuration import engine_choice, run_settings, settings

_ROOT = Path(__file__).resolve().parents[2]
_NO_GPU = Path(os.devnull)  # in place of /dev, for a driver, which has no GPU
# Settings of section `tator` that each launch sets.
_AT_LAUNCH = ("host", "project_id", "media_ids", "media_file")
# The largest numbers of characters that Tator's database accepts.
_LONGEST_NAME, _LONGEST_DESCRIPTION = 128, 1024
# A launch names its media in one environment variable, of which Linux accepts 128 KiB: ids of up to 12 digits fit.
_MOST_FILES_PER_JOB = 10_000


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command_line.Parser(
        prog="python -m scripts.commands.register_algorithm",
        description="Register the workflow as an algorithm in a Tator project, or update it.",
        epilog="The API token is read from TATOR_AUTH_TOKEN. Exit code: 0, or 1 when something is missing or failed.",
    )
    add = parser.add_argument
    add(
        "manifest",
        type=command_line.path,
        help="an Argo manifest: deploy/argo/single-pod.yaml, fan-out.yaml, or your own",
    )
    add("--name", required=True, type=_name, help="the algorithm's name; an algorithm of that name is updated")
    add("--host", help="Tator's address (or TATOR_API_SERVICE, or the settings file's)")
    add("--project", metavar="ID", help="project (or TATOR_PROJECT_ID, or the settings file's)")
    add("--config", type=command_line.path, metavar="FILE", help="a settings file of the workflow, for pipeline_args")
    add(
        "--set",
        action=command_line.StorePairs,
        default={},
        metavar="NAME=VALUE",
        help="the default of a parameter that the manifest declares, such as image; may be repeated",
    )
    add(
        "--files-per-job",
        type=_files_per_job,
        metavar="N",
        help=f"the most media of a workflow ({FILES_PER_JOB} for a new algorithm; at most {_MOST_FILES_PER_JOB:,})",
    )
    add("--description", type=_at_most(_LONGEST_DESCRIPTION), metavar="TEXT", help="shown to people")
    add(
        "--cluster",
        type=tator_options.identifier,
        metavar="ID",
        help="the organization's job cluster (default: Tator's own)",
    )
    add(
        "--category",
        action="append",
        type=command_line.not_empty,
        metavar="NAME",
        help="a category on Tator's pages; may be repeated",
    )
    add(
        "--output",
        type=command_line.output_file,
        metavar="FILE",
        help="also write the manifest that would be registered to this file",
    )
    add("--apply", action="store_true", help="make the changes; without it they are only listed")
    return parser.parse_args(arguments)


def _at_most(longest: int) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if not 1 <= len(text) <= longest:
            raise argparse.ArgumentTypeError(f"{len(text)} characters; expected 1 to {longest}")
        return text

    return checked


def _name(text: str) -> str:
    """Check an algorithm's name, of which Tator makes a workflow's: other characters become hyphens."""
    words = re.sub("[^0-9a-zA-Z.]+", "-", _at_most(_LONGEST_NAME)(text)).lower().rstrip("-.")
    if re.search(r"(^|[-.])\.|\.-", words):
        raise argparse.ArgumentTypeError(
            f"{text!r}: a workflow named {words!r} would be refused by Kubernetes; expected each dot between letters "
            "or digits"
        )
    return text


def _files_per_job(text: str) -> int:
    number = command_line.positive(text)
    if number > _MOST_FILES_PER_JOB:
        raise argparse.ArgumentTypeError(
            f"{number}; expected at most {_MOST_FILES_PER_JOB}, since a launch names its media in one environment "
            "variable of at most 128 KiB"
        )
    return number


def _settings_in(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    found = _yaml(path)
    run_settings.check_files([path])
    if not isinstance(found, dict):
        raise SettingsError(f"{path}: it is {shown(found)}; expected settings as in config/README.md")
    return found


def _yaml(path: Path) -> Any:
    try:
        return yaml_text.parse(_text(path))
    except ValueError as error:
        raise SettingsError(f"{path}: cannot be read as YAML: {error}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: is not text in UTF-8: {error}") from None


def _filled_in(options: argparse.Namespace, config: dict[str, Any]) -> str:
    """Return the manifest's text with the parameters of the command line and of the settings file."""
    values = dict(options.set)
    if config:
        if "pipeline_args" in values:
            raise SettingsError("pipeline_args: given by --config and by --set; expected one of them")
        if isinstance(tator := config.get("tator"), dict):
            rest = {key: value for key, value in tator.items() if key not in _AT_LAUNCH}
            config = {key: value for key, value in {**config, "tator": rest}.items() if key != "tator" or rest}
        values["pipeline_args"] = _as_json(config, options.config)
    return manifest.fill_in(_text(options.manifest), values)


def _as_json(config: dict[str, Any], path: Path) -> str:
    """Return settings as JSON in ASCII, as Argo fails with characters that its version of Go does not know.

    Raises:
        SettingsError: one line for each value that JSON does not have; `path` is that of the settings file.
    """
    try:
        return json.dumps(config, allow_nan=False).replace("\x7f", "\\u007f")  # Argo fails with U+007F too
    except (TypeError, ValueError) as error:
        try:
            odd = list(_not_in_json(config, ()))
        except RecursionError:  # an alias within itself
            odd = []
        lines = odd or [f"cannot be written as JSON: {error}"]
        raise SettingsError("\n".join(f"{path}: {line}" for line in lines)) from None


def _not_in_json(value: Any, keys: tuple[str, ...]) -> Iterator[str]:
    """Yield a line for each value in settings that YAML has and JSON does not; `keys` lead to `value`."""
    where = f"{'.'.join(keys)}: "
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(key, str | int | float | None):
                yield from _not_in_json(inner, (*keys, str(key)))
            else:
                yield f"{where if keys else ''}the key {_odd(key)}"
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _not_in_json(inner, (*keys, str(at)))
    elif not isinstance(value, str | int | float | None) or (isinstance(value, float) and not math.isfinite(value)):
        yield f"{where}{_odd(value)}"


def _odd(value: Any) -> str:
    if isinstance(value, date):
        return f"{value} is a date in YAML; expected text: put it in quotes"
    return f"{shown(value)} cannot be written as JSON; expected text, a number, true or false"


def _settings_of_launch(environ: Mapping[str, str], workflow: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a launch, checked as the run checks them with the workflow's profile.

    Raises:
        SettingsError: every launch would refuse them.
    """
    defaults, schema = (_yaml(_ROOT / "config" / name) for name in ("config.yaml", "config.schema.yaml"))
    found = settings.resolve(defaults, environ, schema)
    profile = _ROOT / "profiles" / (manifest.profile(workflow) or "default") / "config.yaml"
    run_settings.check_store(found, _yaml(profile).get("default-storage-provider") if profile.is_file() else None)
    detect = found["detect"]
    # Without a driver, `auto` chooses by the GPU of the machine that the launch gets.
    if detect["engine"] != "auto" or manifest.has_driver(workflow):
        engine_choice.choose(detect["engine"], detect["precision"], {}, _NO_GPU, device=detect["device"])
    return found


def _run(options: argparse.Namespace) -> None:
    config = _settings_in(options.config)
    tator = config.get("tator")
    in_file = tator if isinstance(tator, dict) else {}
    host, project_id = tator_options.site_and_project(options.host, options.project, in_file)
    wanted = AlgorithmSpec(
        name=options.name,
        manifest=_filled_in(options, config),
        files_per_job=options.files_per_job,
        description=options.description,
        cluster=options.cluster,
        categories=options.category,
    )
    command_line.refuse_to_replace([options.manifest, options.config], options.output, "--output")
    if options.output is not None:
        with replacing(options.output) as stream:
            stream.write(wanted.manifest)
        _say(f"{options.output}: the manifest, as it would be registered")
    plan = make_plan(host, project_id, wanted, _settings_of_launch)
    for line in [*plan.findings, *(f"note: {note}" for note in plan.notes)]:
        _say(line)
    if not options.apply:
        for step in plan.steps:
            _say(f"to do: {step.text}")
    if plan.problems:
        raise SettingsError(
            "\n".join(["nothing is changed, because this is missing:", *(f"  - {p}" for p in plan.problems)])
        )
    for step in plan.steps if options.apply else []:
        step.do()
        _say(f"done: {step.text}")
    if plan.steps and not options.apply:
        _say("nothing is changed; add --apply to do it")


def _say(line: str) -> None:
    sys.stdout.write(f"{redact(line)}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line; return 0, or 1 when something is missing or failed."""
    options = _arguments(arguments)
    return command_line.run(lambda: _run(options))


if __name__ == "__main__":
    sys.exit(main())
