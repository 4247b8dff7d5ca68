"""The boxes in other file formats, each if its setting is set."""


rule export_parquet:
    input:
        **gathered("detections", "outcomes"),
        train_ini="resources/network/train.ini",
    output:
        table="results/detections.parquet",
    log:
        "logs/export_parquet.log",
    conda:
        "../envs/report.yaml"
    params:
        **gathered_params("detections", "outcomes"),
        code=code("export_parquet"),
    script:
        "../scripts/export_parquet.py"


rule crop_boxes:
    input:
        **media_files(),
        detections="results/detections/{media_id}.csv",
        outcome="results/detections/{media_id}.json",
        train_ini="resources/network/train.ini",
    output:
        crops=directory("results/crops/{media_id}"),
    log:
        "logs/crop_boxes/{media_id}.log",
    conda:
        "../envs/detect.yaml"
    params:
        **plan.listing,
        code=code("crop_boxes"),
    script:
        "../scripts/crop_boxes.py"


rule export_counts:
    input:
        counts="results/counts.csv",
    output:
        occurrences="results/occurrences.csv",
        max_n="results/maxn.txt",
    log:
        "logs/export_counts.log",
    conda:
        "../envs/report.yaml"
    params:
        **plan.site,
        network=plan.network_name,
        dataset=plan.dataset,
        code=code("export_counts"),
    script:
        "../scripts/export_counts.py"
