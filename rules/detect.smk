"""The boxes: results/detections/{media_id}.csv, with a record of how they were found beside each."""


# The large files are `ancient`: whether they changed, the small records beside them say, by their content.
rule detect:
    input:
        beside_graph(),
        media=ancient("resources/media/{media_id}"),
        record="resources/records/{media_id}.json",
        download="resources/downloads/{media_id}.json",
        graph=ancient(detect_graph()),
        train_ini="resources/network/train.ini",
        provenance="resources/network/provenance.json",
        changes=graph_changes(),
    output:
        detections="results/detections/{media_id}.csv",
        outcome="results/detections/{media_id}.json",
        previews="results/previews/{media_id}.zip",
    log:
        "logs/detect/{media_id}.log",
    priority: 10
    conda:
        detect_environment()
    threads: 4
    params:
        **search(),
        code=code("detect"),
    script:
        "../scripts/detect.py"
