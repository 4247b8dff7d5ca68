"""Tracks, if track.enabled is set: results/tracks/{media_id}.csv, each with a record."""


rule track:
    input:
        detections="results/detections/{media_id}.csv",
        outcomes="results/detections/{media_id}.json",
    output:
        track_boxes="results/tracks/{media_id}.csv",
        tracks="results/tracks/{media_id}.json",
    log:
        "logs/track/{media_id}.log",
    priority: 10
    conda:
        "../envs/track.yaml"
    params:
        **plan.track_options,
        code=code("track"),
    script:
        "../scripts/track.py"
