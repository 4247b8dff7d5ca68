"""Merged files, the summary and the exit code."""


rule merge_detections:
    input:
        **gathered("detections", "outcomes"),
        train_ini="resources/network/train.ini",
    output:
        merged=report(
            "results/detections.csv",
            caption="../reports/detections.rst",
            category="Results",
            labels={"what": "Boxes of all media", "format": "CSV"},
        ),
        coco="results/detections.coco.json",
    log:
        "logs/merge_detections.log",
    conda:
        "../envs/detect.yaml"
    params:
        **gathered_params("detections", "outcomes"),
        code=code("merge_detections"),
    script:
        "../scripts/merge_detections.py"


rule summarize:
    input:
        **gathered(
            "records",
            "outcomes",
            *plan.in_tator("uploads"),
            *plan.tracks,
            *plan.track_uploads,
        ),
        **plan.records_of_tator,
        counts=plan.counts_in_tator,
        provenance="resources/network/provenance.json",
    output:
        summary=report(
            "results/summary.json",
            caption="../reports/summary.rst",
            category="Results",
            labels={"what": "State of each media", "format": "JSON"},
        ),
        table=report(
            "results/summary.txt",
            caption="../reports/summary.rst",
            category="Results",
            labels={"what": "State of each media", "format": "table"},
        ),
    log:
        "logs/summarize.log",
    conda:
        "../envs/detect.yaml"
    params:
        **gathered_params(
            "records",
            "outcomes",
            *plan.in_tator("uploads"),
            *plan.tracks,
            *plan.track_uploads,
        ),
        **plan.without_tracks,
        on_damaged=config["media"]["on_damaged"],
        code=code("summarize"),
    script:
        "../scripts/summarize.py"


# A separate rule, as Snakemake removes a failed rule's files, and the summary must be kept.
rule conclude:
    input:
        summary="results/summary.json",
        table="results/summary.txt",
    output:
        outcome="results/outcome.txt",
    log:
        "logs/conclude.log",
    conda:
        "../envs/detect.yaml"
    params:
        code=code("conclude"),
    script:
        "../scripts/conclude.py"
