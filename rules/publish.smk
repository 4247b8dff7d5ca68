"""The boxes in Tator: where they go, the upload of each media, the marks, and what came of it all."""


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
        code=code("prepare_upload"),
    script:
        "../scripts/prepare_upload.py"


rule upload_detections:
    input:
        detections="results/detections/{media_id}.csv",
        outcome="results/detections/{media_id}.json",
        record="resources/records/{media_id}.json",
        destination="resources/destination.json",
        train_ini="resources/network/train.ini",
    output:
        upload="results/uploads/{media_id}.json",
    log:
        "logs/upload_detections/{media_id}.log",
    conda:
        "../envs/tator.yaml"
    params:
        host=config["tator"]["host"],
        project_id=config["tator"]["project_id"],
        threshold=config["upload"]["threshold"],
        overlap_limit=config["upload"]["overlap_with_people"],
        on_damaged=config["media"]["on_damaged"],
        code=code("upload_detections"),
    script:
        "../scripts/upload_detections.py"


rule mark_processed:
    input:
        uploads=every("results/uploads/{media_id}.json"),
    output:
        marks="results/marks.json",
    log:
        "logs/mark_processed.log",
    conda:
        "../envs/tator.yaml"
    params:
        host=config["tator"]["host"],
        project_id=config["tator"]["project_id"],
        attribute=config["mark"]["attribute"],
        code=code("mark_processed"),
    script:
        "../scripts/mark_processed.py"


rule summarize:
    input:
        records=every("resources/records/{media_id}.json"),
        outcomes=every("results/detections/{media_id}.json"),
        uploads=every("results/uploads/{media_id}.json"),
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
