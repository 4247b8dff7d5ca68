"""Tracks of many media in a job, if media.per_job is set; see many.smk."""

for media_ids in plan.shared_jobs:

    rule:
        name:
            f"track_many_{media_ids[0]}"
        input:
            f"resources/batches/detected_{media_ids[0]}.json",
            **job_inputs(media_ids, "detections", "outcomes"),
        output:
            **job_outputs(media_ids, "track_boxes", "tracks"),
            batch=f"resources/batches/tracked_{media_ids[0]}.json",
        log:
            f"logs/track_many/{media_ids[0]}.log",
        priority: 10
        conda:
            "../envs/track.yaml"
        params:
            **job_params(
                media_ids,
                takes=["detections", "outcomes"],
                makes=["track_boxes", "tracks"],
            ),
            **plan.track_options,
            code=code("track"),
        script:
            "../scripts/track.py"

    set_as_for(f"track_many_{media_ids[0]}", "track")
