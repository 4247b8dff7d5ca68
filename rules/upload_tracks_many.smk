"""Uploads of the tracks of many media in a job, if media.per_job is set; see many.smk."""

for media_ids in plan.shared_jobs:

    rule:
        name:
            f"upload_tracks_many_{media_ids[0]}"
        input:
            f"resources/batches/tracked_{media_ids[0]}.json",
            f"resources/batches/uploaded_{media_ids[0]}.json",
            **job_inputs(
                media_ids, "track_boxes", "tracks", "outcomes", "uploads", "records"
            ),
            destination="resources/destination.json",
            train_ini="resources/network/train.ini",
        output:
            **job_outputs(media_ids, "track_uploads"),
            batch=f"resources/batches/tracks_uploaded_{media_ids[0]}.json",
        log:
            f"logs/upload_tracks_many/{media_ids[0]}.log",
        conda:
            "../envs/tator.yaml"
        params:
            **job_params(
                media_ids,
                takes=["track_boxes", "tracks", "outcomes", "uploads", "records"],
                makes=["track_uploads"],
            ),
            host=config["tator"]["host"],
            project_id=config["tator"]["project_id"],
            min_length=config["track"]["min_length"],
            fill_gaps=config["track"]["fill_gaps"],
            finished="resources/finished_track_uploads",
            version_lost_count=version_lost_count_now,
            code_hash=code("upload_tracks"),
        script:
            "../scripts/upload_tracks.py"

    set_as_for(f"upload_tracks_many_{media_ids[0]}", "upload_tracks")
