"""The tracks of one media in Tator, if upload.track_type_id is set; after the boxes, to which tracks refer."""


rule upload_tracks:
    input:
        track_boxes="results/tracks/{media_id}.csv",
        tracks="results/tracks/{media_id}.json",
        outcomes="results/detections/{media_id}.json",
        uploads="results/uploads/{media_id}.json",
        records="resources/records/{media_id}.json",
        destination="resources/destination.json",
        train_ini="resources/network/train.ini",
    output:
        track_uploads="results/track_uploads/{media_id}.json",
    log:
        "logs/upload_tracks/{media_id}.log",
    conda:
        "../envs/tator.yaml"
    params:
        host=config["tator"]["host"],
        project_id=config["tator"]["project_id"],
        min_length=config["track"]["min_length"],
        fill_gaps=config["track"]["fill_gaps"],
        version_lost_count=version_lost_count_now,
        code=code("upload_tracks"),
    script:
        "../scripts/upload_tracks.py"
