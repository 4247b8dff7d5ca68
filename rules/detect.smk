"""The boxes: results/detections/{media_id}.csv, each with a record of how they were found."""


# The large files are `ancient`: the small records next to them show whether they changed, by their content.
rule detect:
    input:
        plan.files_besides_graph,
        **media_files("records", "downloads"),
        graph=ancient(plan.detect_graph),
        train_ini="resources/network/train.ini",
        provenance="resources/network/provenance.json",
        changes=plan.graph_changes,
    output:
        detections="results/detections/{media_id}.csv",
        outcomes="results/detections/{media_id}.json",
        previews="results/previews/{media_id}.zip",
    log:
        "logs/detect/{media_id}.log",
    priority: 10
    conda:
        plan.detect_environment
    threads: 4
    params:
        **plan.detect_options,
        **plan.listing,
        code=code("detect", shared=False),
    script:
        "../scripts/detect.py"
