"""All boxes in one file; the boxes in Tator: where they go, the marks, and what came of it all."""


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
        **gathered_by_hashes("detections", "outcomes"),
        code=code("merge_detections"),
    script:
        "../scripts/merge_detections.py"


checkpoint prepare_upload:
    input:
        train_ini="resources/network/train.ini",
        provenance="resources/network/provenance.json",
    output:
        destination="resources/destination.json",
    log:
        "logs/prepare_upload.log",
    conda:
        "../envs/tator.yaml"
    params:
        host=config["tator"]["host"],
        project_id=config["tator"]["project_id"],
        localization_type_id=config["upload"]["localization_type_id"],
        species_attribute=config["upload"]["species_attribute"],
        confidence_attribute=config["upload"]["confidence_attribute"],
        version=config["upload"]["version"],
        version_id=config["upload"]["version_id"],
        version_number=config["upload"]["version_number"],
        losses=losses_now,
        code=code("prepare_upload"),
    script:
        "../scripts/prepare_upload.py"


rule mark_processed:
    input:
        **gathered("uploads"),
    output:
        marks="results/marks.json",
    log:
        "logs/mark_processed.log",
    conda:
        "../envs/tator.yaml"
    params:
        **gathered_by_hashes("uploads"),
        host=config["tator"]["host"],
        project_id=config["tator"]["project_id"],
        attribute=config["mark"]["attribute"],
        code=code("mark_processed"),
    script:
        "../scripts/mark_processed.py"


rule summarize:
    input:
        **gathered("records", "outcomes", "uploads", *plan.tracks),
        marks="results/marks.json",
        provenance="resources/network/provenance.json",
        destination="resources/destination.json",
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
        **gathered_by_hashes("records", "outcomes", "uploads", *plan.tracks),
        **plan.without_tracks,
        on_damaged=config["media"]["on_damaged"],
        code=code("summarize"),
    script:
        "../scripts/summarize.py"


# A rule of its own, since a failed rule's files are removed, and the summary has to stay.
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
