"""Long videos in parts, if detect.split_seconds is set: the same files as from the rule detect.

Each part is a job, for several GPUs with a shared file system.
"""


rule split_media:
    input:
        **media_files(),
    output:
        plan="resources/parts/{media_id}.json",
    log:
        "logs/split_media/{media_id}.log",
    conda:
        "../envs/detect.yaml"
    params:
        **plan.listing,
        split_seconds=config["detect"]["split_seconds"],
        code=code("split_media"),
    script:
        "../scripts/split_media.py"


rule detect_part:
    input:
        plan.files_besides_graph,
        **media_files("records", "downloads"),
        plan="resources/parts/{media_id}.json",
        graph=ancient(plan.detect_graph),
        train_ini="resources/network/train.ini",
        provenance="resources/network/provenance.json",
        changes=plan.graph_changes,
    output:
        detections=temp("resources/parts/{media_id}/{part}.csv"),
        outcomes=temp("resources/parts/{media_id}/{part}.json"),
        previews=temp("resources/parts/{media_id}/{part}.zip"),
    log:
        "logs/detect_part/{media_id}.{part}.log",
    priority: 10
    conda:
        plan.detect_environment
    threads: 4
    params:
        **plan.detect_options,
        **plan.listing,
        part=part_number,
        code=code("detect", shared=False),
    script:
        "../scripts/detect.py"


# Joins the parts of a video, and processes media in one piece if they have no parts, or their parts cannot be joined.
rule join_parts:
    input:
        plan.files_besides_graph,
        **media_files(),
        plan=of_parts("resources/parts/{media_id}.json"),
        part_detections=of_parts("resources/parts/{media_id}/{part}.csv"),
        part_outcomes=of_parts("resources/parts/{media_id}/{part}.json"),
        part_previews=of_parts("resources/parts/{media_id}/{part}.zip"),
        graph=ancient(plan.detect_graph),
        train_ini="resources/network/train.ini",
        provenance="resources/network/provenance.json",
        changes=plan.graph_changes,
    output:
        detections="results/detections/{media_id}.csv",
        outcome="results/detections/{media_id}.json",
        previews="results/previews/{media_id}.zip",
    log:
        "logs/join_parts/{media_id}.log",
    priority: 10
    conda:
        plan.detect_environment
    threads: 4
    params:
        **plan.detect_options,
        **plan.listing,
        code=code("join_parts"),
    script:
        "../scripts/join_parts.py"


# These rules replace detect, whose resources a profile sets.
set_as_for("detect_part", "detect")
set_as_for("join_parts", "detect")
