"""Tracks of many media in a job, where media.per_job asks for it; see many.smk."""

for media_ids in plan.shared_jobs:

    rule:
        name:
            f"track_many_{media_ids[0]}"
        input:
            f"resources/batches/detected_{media_ids[0]}.json",
            **as_inputs(
                media_ids,
                detections="results/detections/{media_id}.csv",
                outcomes="results/detections/{media_id}.json",
            ),
        output:
            track_boxes=plan.of(media_ids, "results/tracks/{media_id}.csv"),
            tracks=plan.of(media_ids, "results/tracks/{media_id}.json"),
            batch=f"resources/batches/tracked_{media_ids[0]}.json",
        log:
            f"logs/track_many/{media_ids[0]}.log",
        priority: 10
        conda:
            "../envs/track.yaml"
        params:
            **as_params(
                "tracks",
                detections="results/detections/{media_id}.csv",
                outcomes="results/detections/{media_id}.json",
            ),
            **plan.track_options,
            code=code("track"),
        script:
            "../scripts/track.py"

    set_as_for(f"track_many_{media_ids[0]}", "track")
