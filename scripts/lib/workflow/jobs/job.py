"""Run a script's function as a Snakemake job: named files and params become arguments, output goes to the log."""

import inspect
import logging
import os
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args

from scripts.lib import decode_threads
from scripts.lib.errors import MACHINE_ERRORS, PipelineError, of_one_media
from scripts.lib.folder_source.local_media import listed_folder, local_path
from scripts.lib.metrics import count_failure
from scripts.lib.network_access.token import redact
from scripts.lib.records import MediaRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.workflow.jobs import environments, job_secrets, sandbox, supervision
from scripts.lib.workflow.jobs.failures import as_fault
from scripts.lib.workflow.jobs.job_log import JobLog
from scripts.lib.workflow.planning import media_files, rule_params
from scripts.lib.workflow.planning.batches import require
from scripts.lib.workflow.processes import deadline, interrupts, memory

# Parameters and inputs that only make a rule run again when they change (see rules/common.smk).
NOT_ARGUMENTS = {"code", "digest_of_tag", "given_files", "version_lost_count", "batches", "order"}
NOT_ARGUMENTS |= {media_files.NAMES, media_files.NUMBERS, media_files.MADE, media_files.IN_FOLDERS, "must_repeat"}
NOT_ARGUMENTS |= {rule_params.NAME}

_log = logging.getLogger(__name__)

# The original standard error, before JobLog redirects it to the log.
_terminal = os.dup(2)


def run(
    function: Callable[..., None],
    snakemake: Any,
    *,
    needs: str | None = None,
    sandboxed: bool = False,
    record_failure: Callable[..., None] | None = None,
    resume: Callable[..., None] | None = None,
) -> None:
    """Call `function` with the rule's named input, output and params as keyword arguments.

    An argument annotated `Path` or `list[Path]` is converted to that type. One annotated with a dataclass is made from
    the rule's values with the names of its fields; an optional one (`X | None`) only if the rule has all of them. An
    argument or a field `threads` gets the rule's threads. A PipelineError ends the job with its message only, any other
    exception with a traceback; both are in the rule's log, without secrets. The job has only the secrets that
    job_secrets.py lists for its rule.

    Args:
        function: the script's function.
        snakemake: the object that Snakemake passes to a script.
        needs: a package that is in a separate environment.
        sandboxed: whether to run the job in a sandbox, if network.sandbox allows it.
        record_failure: for jobs of single media, the function that writes the job's files if an exception concerns its
            media only (errors.of_one_media), or if the job was killed (supervision.py). It is called with the fault
            and the arguments of `function`. The job then succeeds, and the media's record has the state `failed`.
        resume: for jobs of several media, the function to call instead of record_failure if the job was killed.
    """
    interrupts.raise_interrupts()
    # YAML reads a bare `off` as false.
    mode = (snakemake.config["network"]["sandbox"] or "off") if sandboxed else "off"
    planned = _plan_sandbox(mode, snakemake)
    job_secrets.drop(snakemake.rule, planned.prefix)
    killed = None if record_failure is None else supervision.begin()
    if needs is not None:
        environments.enter(needs)
    log: JobLog | None = None
    try:
        log = JobLog(Path(snakemake.log[0]), append=killed is not None)
        if sandboxed:
            sandbox.check(mode, planned)
        if needs is not None:
            environments.require(needs)
        memory.set_limit(snakemake.resources.get("mem_mb"))
        detect = snakemake.config.get("detect", {})
        seconds = detect.get("batch_timeout_seconds", deadline.DEFAULT_SECONDS)
        deadline.set_limit(seconds, before_end=lambda: _count_failure(snakemake.rule))
        decode_threads.set_limit(detect.get("decode_threads"))
        decode_threads.set_decoder(detect.get("decoder", "cpu"))
        arguments = bind(function, _values(snakemake))
        try:
            after_kill = resume or record_failure
            if killed is None or after_kill is None:
                function(**arguments)
            else:
                _log.error("%s", killed)
                after_kill(killed, **arguments)
        except Exception as error:
            if record_failure is None or interrupts.was_interrupted() or not of_one_media(error):
                raise
            fault = as_fault(error)
            _log.error("%s", fault, exc_info=None if isinstance(error, PipelineError) else error)
            record_failure(fault, **arguments)
        log.wait_until_written()
    except Exception as error:
        if interrupts.was_interrupted():
            raise KeyboardInterrupt from None
        media_id = dict(snakemake.wildcards.items()).get("media_id")
        message = f"media {media_id}: {_message(error)}" if media_id and of_one_media(error) else _message(error)
        _write_last_message(message, log)
        _count_failure(snakemake.rule)
        raise SystemExit(1) from None


def _count_failure(rule: str) -> None:
    if sandbox.present() == "none":  # inside a sandbox the file of metrics cannot be written
        count_failure(rule)


def _plan_sandbox(mode: str, snakemake: Any) -> sandbox.Sandbox:
    """Return the sandbox for a job, which may read its inputs, and write to its outputs' folders and its log."""
    params = dict(snakemake.params.items())
    media_files.make_folders(params)
    outputs = {Path(path).parent for path in snakemake.output} | media_files.output_folders(params)
    log = Path(snakemake.log[0])
    if mode != "off":
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
    readable = [Path(path) for path in snakemake.input]
    if listing := params.get("listing"):  # for files of the user's folder, which are not inputs
        readable += [Path(listing), Path(listed_folder(Path(listing)))]
        records = _convert(dict(snakemake.input.items()).get("records", []), list[Path])
        # A file may be a link to a place outside of the folder.
        readable += [local_path(read_record(MediaRecord, record), Path(listing)) for record in records]
    environ = job_secrets.without_unused(snakemake.rule, os.environ)
    return sandbox.plan(mode, readable, [*sorted(outputs), log], environ)


def _message(error: Exception) -> str:
    if isinstance(error, PipelineError):
        return str(error)
    if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
        place = f"{Path(error.filename).absolute()}: " if error.filename else ""
        return f"{place}{error.strerror}; {MACHINE_ERRORS[error.errno]}"
    return "it failed\n" + "".join(traceback.format_exception(error))


def _write_last_message(text: str, log: JobLog | None) -> None:
    """Write the final message to the log, or to the terminal if that fails, as the log's disk may be full."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S")
    line = redact(f"{moment} ERROR {text.rstrip()}\n")
    if log is None or not log.write(line):
        os.write(_terminal, line.encode(errors="replace"))


def tell_user(text: str) -> None:
    """Write to the terminal instead of the log; only for rules that run on the machine of the terminal."""
    os.write(_terminal, redact(text).encode(errors="replace") + b"\n")


def _values(snakemake: Any) -> dict[str, Any]:
    """Return the values of a job that may be arguments, by name."""
    values: dict[str, Any] = {"threads": snakemake.threads}
    for named in (snakemake.input, snakemake.output, snakemake.params):
        values |= {key: value for key, value in named.items() if key not in NOT_ARGUMENTS}
    files = media_files.named(dict(snakemake.params.items()), snakemake.config)
    if "batches" in dict(snakemake.input.items()):  # Snakemake checked only the files of hashes
        require(Path(path) for paths in files.values() for path in paths)
    return values | files


def bind(function: Callable[..., None], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments for a call of `function`; see `run`."""
    left, arguments = dict(values), {}
    for name, annotation in _annotations(function).items():
        if (model := _dataclass(annotation)) is not None:
            fields = _annotations(model)
            if model is annotation or fields.keys() <= left.keys():  # an optional one needs all of its fields
                used = {name: kind for name, kind in fields.items() if name in left or not _has_default(model, name)}
                arguments[name] = model(**{field: _convert(left.pop(field), kind) for field, kind in used.items()})
        elif name in left:
            arguments[name] = _convert(left.pop(name), annotation)
    left.pop("threads", None)
    return arguments | left  # the call itself reports superfluous and missing arguments


def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the names and annotations of the arguments of a function or a class."""
    return {name: parameter.annotation for name, parameter in inspect.signature(function).parameters.items()}


def _has_default(function: Callable[..., Any], name: str) -> bool:
    return inspect.signature(function).parameters[name].default is not inspect.Parameter.empty


def _dataclass(annotation: Any) -> type | None:
    """Return the dataclass in an annotation `X` or `X | None`; None for other annotations."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and is_dataclass(kind):
            return kind
    return None


def _convert(value: Any, annotation: Any) -> Any:
    """Return a value as paths if the annotation says so."""
    if annotation in (list[Path], list[Path] | None):
        if isinstance(value, media_files.FilesOfMedia):
            return value.paths
        # Snakemake passes a list of one entry as that entry.
        return [Path(item) for item in ([value] if isinstance(value, str | Path) else value)]
    return Path(value) if annotation in (Path, Path | None) and value is not None else value
