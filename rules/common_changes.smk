"""Functions that let Snakemake notice changes that it overlooks otherwise."""

import atexit
from pathlib import Path

from snakemake.io import strip_wildcard_constraints
from snakemake.settings.enums import PersistenceBackend, RerunTrigger

from scripts.lib.detection import calibration
from scripts.lib.workflow.jobs import failures
from scripts.lib.workflow.planning import lost_records, rule_params
from scripts.lib.workflow.processes import command


def require_records_in_files():
    """Refuse a run whose records Snakemake would keep in a database, where this workflow cannot check or remove them."""
    backend = workflow.workflow_settings.persistence_backend
    lost_records.require_files(backend is PersistenceBackend.FILE)


def compare_params_by_name():
    """Let Snakemake compare the parameters of all rules with their names; call it after the last rule."""
    rule_params.add_hashes(workflow.rules)


def quantize_after_changes():
    """Have the network quantized again after changes that Snakemake does not check if media share jobs."""
    if (
        is_new_run()
        and plan.inputs_are_hashes
        and config["detect"]["precision"] == "int8"
    ):
        of_params = workflow.get_rule("quantize_network").params.get(rule_params.NAME)
        settings = f"{of_params(None)} {sorted(plan.calibration_media)}"
        touches = getattr(command.arguments(), "touch", False)
        calibration.forget_after_changes(
            settings, Path("resources/network/int8"), keep=touches
        )


def repeat_results_without_record():
    """Have results made again for which Snakemake has no record, and so would keep them whatever the settings are.

    Not with a storage: there a run is continued by a new driver, which has no records of the results in the storage;
    deploy/s3_store.py refuses to continue it with other settings.
    """
    if not workflow.is_main_process or plan.by_storage or failures.is_locked(Path()):
        return
    options = command.arguments()
    if command.runs_nothing(options):
        return
    # With --rerun-triggers mtime Snakemake compares only dates, and needs no records.
    if getattr(options, "rerun_triggers", None) == {RerunTrigger.MTIME}:
        return
    # With --drop-metadata there are never any records, and with --allowed-rules others must not run.
    if getattr(options, "drop_metadata", False) or getattr(
        options, "allowed_rules", None
    ):
        return
    # Snakemake writes the constraint of a wildcard into each output.
    patterns = [
        strip_wildcard_constraints(str(output))
        for rule in workflow.rules
        for output in rule.output
    ]
    if plan.shared_jobs and plan.shared_jobs_keep_files:
        # They keep their downloads where download_media, whose outputs have records, would make them.
        patterns = [path for path in patterns if path != plan.media_of_shared_jobs]
    if files := lost_records.mark(lost_records.outputs(patterns, plan.media_ids)):
        logger.warning(lost_records.message(files))
        if workflow.output_settings.dryrun:
            atexit.register(lost_records.unmark, files, Path.cwd())
