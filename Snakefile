"""Detect objects in media in Tator or in a folder, and upload the boxes; README.md has a diagram of the steps."""

import os

from snakemake.utils import min_version

min_version("9.23.1")  # older versions do not remove temp() files


configfile: os.path.join(workflow.basedir, "config", "config.yaml")


include: "rules/common.smk"
include: "rules/common_files.smk"
include: "rules/common_shared_jobs.smk"
include: "rules/common_changes.smk"


garbage.collect_rarely()
with plan_errors.errors_as_messages(logger.error):
    run_folder = work_dir()

if run_folder:

    workdir: run_folder


with plan_errors.errors_as_messages(logger.error):
    config = read_settings()


# A job on a cluster reads this file again, so the environment variables that it reads have to be passed on.
envvars:
    *variables_in_use(),


closed_output.ignore_in_threads(logger)
interrupts.raise_interrupts()
interrupts.add_startup_folder(os.environ)
interrupts.block_while_jobs_start()
import_path.leave_out_current_folder(os.environ)
import_path.forget_current_folder(Path(workflow.basedir))
with plan_errors.errors_as_messages(logger.error):
    check_writable(Path.cwd())
    require_records_in_files()
    forget_failed_media()
    plan = make_plan()
move_files_of_media()
with plan_errors.errors_as_messages(logger.error):
    warn_of_earlier_uploads()
forget_shared_jobs()
forget_missing_uploads()
correct_dates()

if workflow.is_main_process:
    with plan_errors.errors_as_messages(logger.error):
        local_files.check(config, plan.media_ids, detects=plan.detects)


onstart:
    with plan_errors.errors_as_messages(logger.error):
        require_token()
        move_earlier_results()
    outages.forget(Path())


onerror:
    with plan_errors.errors_as_messages(logger.error):
        failures.forget(Path())
    logger.info(
        "The run is not complete. The same command continues it: finished results are kept. "
        "If a message above says what to correct, do that first."
    )


if plan.detects:

    include: "rules/weights.smk"


include: "rules/folder.smk" if plan.from_folder else "rules/media.smk"


if plan.shared_jobs:

    include: "rules/many.smk"

else:

    if plan.detects:

        include: "rules/list.smk" if plan.from_folder else "rules/resolve.smk"
        include: "rules/split.smk" if config["detect"]["split_seconds"] else "rules/detect.smk"

    if plan.uploads:

        include: "rules/upload.smk"


if plan.uploads:

    include: "rules/destination.smk"
    include: "rules/match.smk" if plan.from_folder else "rules/attributes.smk"


if config["track"]["enabled"]:

    include: "rules/track_many.smk" if plan.shared_jobs else "rules/track.smk"
    include: "rules/use_tracks.smk"


if plan.track_uploads:

    include: "rules/upload_tracks_many.smk" if plan.shared_jobs else "rules/upload_tracks.smk"


if plan.count_attributes:

    include: "rules/write_counts.smk"


include: "rules/count.smk"
include: "rules/publish.smk"
include: "rules/report.smk"
include: "rules/export.smk"
include: "rules/export_labels.smk"


localrules:
    all,
    conclude,


rule all:
    default_target: True
    input:
        each_file(),
        "results/detections.csv",
        "results/detections.coco.json",
        "results/counts.csv",
        "results/summary.json",
        "results/overview.html",
        "results/outcome.txt",
        plan.counts_in_tator,
        plan.in_tator("results/marks.json"),
        if_set(plan.from_folder, "results/media.csv"),
        if_set(plan.from_folder and plan.uploads, "results/matches.csv"),
        if_set(plan.tracks_evaluated, "results/track_evaluation.json"),
        if_set(config["export"]["tracks"], "results/mot", "results/viame"),
        if_set(config["export"]["tracks"], "results/tracks.coco.json"),
        if_set(
            config["export"]["counts"], "results/occurrences.csv", "results/maxn.txt"
        ),
        if_set(config["export"]["parquet"], "results/detections.parquet"),
        if_set(config["export"]["megadetector"], "results/detections.megadetector.json"),
        if_set(config["export"]["yolo"], "results/yolo"),
        if_set(config["export"]["cvat"], "results/cvat"),
        if_set(config["export"]["label_studio"], "results/detections.label_studio.json"),
        if_set(config["export"]["crops"], *plan.every("results/crops/{media_id}")),


compare_params_by_name()
quantize_after_changes()
repeat_results_without_record()
