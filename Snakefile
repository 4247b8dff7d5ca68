"""Detect objects in media kept in Tator and put the boxes back; README.md has a picture of the rules."""

import os

from snakemake.utils import min_version

min_version("9.23.1")  # older ones keep temp() files


configfile: os.path.join(workflow.basedir, "config", "config.yaml")


include: "rules/common.smk"
include: "rules/common_shared_jobs.smk"


config = read_settings()
plan = make_plan()


# A job on a cluster reads this file again; what it reads from the environment has to travel with it.
envvars:
    *variables_in_use(),


if work_dir():

    workdir: work_dir()


check_writable(Path.cwd())
forget_failed_media()
correct_dates()

if workflow.is_main_process:
    local_files.check(config)


onstart:
    require_token()
    outages.forget(Path())


onerror:
    failures.forget(Path())
    logger.info(
        "The run is not complete. The same command continues it: what is finished is kept."
    )


include: "rules/weights.smk"
include: "rules/media.smk"


if plan.shared_jobs:

    include: "rules/many.smk"

else:

    include: "rules/resolve.smk"
    include: "rules/split.smk" if config["detect"]["split_seconds"] else "rules/detect.smk"
    include: "rules/upload.smk"


include: "rules/publish.smk"
include: "rules/report.smk"
include: "rules/export.smk"


localrules:
    all,
    conclude,


rule all:
    default_target: True
    input:
        each_file(),
        "results/detections.csv",
        "results/detections.coco.json",
        "results/summary.json",
        "results/overview.html",
        "results/outcome.txt",
        if_asked(config["export"]["parquet"], "results/detections.parquet"),
        if_asked(config["export"]["crops"], *plan.every("results/crops/{media_id}")),
