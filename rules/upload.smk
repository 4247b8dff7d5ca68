"""The boxes of one media in Tator."""


rule upload_detections:
    input:
        **plan.boxes_that_fill_gaps,
        **plan.matches,
        detections="results/detections/{media_id}.csv",
        outcomes="results/detections/{media_id}.json",
        records="resources/records/{media_id}.json",
        destination="resources/destination.json",
        train_ini="resources/network/train.ini",
    output:
        uploads="results/uploads/{media_id}.json",
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
        version_lost_count=version_lost_count_now,
        code=code("upload_detections"),
    script:
        "../scripts/upload_detections.py"
