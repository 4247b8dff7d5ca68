"""Several media in a job, if media.per_job is set: the same files as with the rules for one media.

A job's input is one file of the previous job, with the hashes of that job's other files. The names of those files are
in the job's parameters, or in its inputs if jobs share no disk; docs/sizing.md explains what this saves.
"""

for media_ids in plan.shared_jobs:

    if plan.from_folder and plan.detects:

        rule:
            name:
                f"list_many_{media_ids[0]}"
            output:
                **job_outputs(media_ids, "records"),
                batch=f"resources/batches/resolved_{media_ids[0]}.json",
            log:
                f"logs/list_many/{media_ids[0]}.log",
            conda:
                "../envs/detect.yaml"
            params:
                **job_params(media_ids, makes=["records"]),
                **plan.listing,
                kind=config["media"]["kind"],
                changed_by=config["media"]["changed_by"],
                md5=config["media"]["md5"],
                given_files=plan.files_digest(media_ids),
                code=code("list_media"),
            script:
                "../scripts/list_media.py"

    if not plan.from_folder:

        rule:
            name:
                f"resolve_many_{media_ids[0]}"
            output:
                **job_outputs(media_ids, "records"),
                batch=f"resources/batches/resolved_{media_ids[0]}.json",
            log:
                f"logs/resolve_many/{media_ids[0]}.log",
            conda:
                "../envs/tator.yaml"
            params:
                **job_params(media_ids, takes=["uploads"], makes=["records"]),
                host=config["tator"]["host"],
                project_id=config["tator"]["project_id"],
                media_ids=media_ids,
                kind=config["media"]["kind"],
                file=config["media"]["file"],
                skip_processed=config["media"]["skip_processed"],
                mark_attribute=config["mark"]["attribute"],
                count_attributes=list(plan.count_attributes.values()),
                code=code("resolve_media"),
            script:
                "../scripts/resolve_media.py"

    if plan.detects:

        rule:
            name:
                f"detect_many_{media_ids[0]}"
            input:
                plan.files_besides_graph,
                *if_set(not plan.from_folder, ancient("resources/destination.json")),
                f"resources/batches/resolved_{media_ids[0]}.json",
                **job_inputs(media_ids, "records"),
                graph=ancient(plan.detect_graph),
                train_ini="resources/network/train.ini",
                provenance="resources/network/provenance.json",
                changes=plan.graph_changes,
            output:
                **job_outputs(media_ids, "detections", "outcomes", "previews"),
                batch=f"resources/batches/detected_{media_ids[0]}.json",
            log:
                f"logs/detect_many/{media_ids[0]}.log",
            priority: 10
            conda:
                plan.detect_environment
            threads: 4
            params:
                **plan.detect_options,
                **job_params(
                    media_ids,
                    takes=["records"],
                    makes=["detections", "outcomes", "previews"],
                ),
                **downloads_of(media_ids),
                **plan.place,
                finished="resources/finished",
                code_hash=code("detect"),
            script:
                "../scripts/detect.py"

    if plan.uploads:

        rule:
            name:
                f"upload_many_{media_ids[0]}"
            input:
                f"resources/batches/detected_{media_ids[0]}.json",
                if_set(
                    plan.boxes_that_fill_gaps,
                    f"resources/batches/tracked_{media_ids[0]}.json",
                ),
                **job_inputs(
                    media_ids,
                    "detections",
                    "outcomes",
                    "records",
                    *plan.boxes_that_fill_gaps,
                ),
                **plan.matches_of(media_ids[0]),
                destination="resources/destination.json",
                train_ini="resources/network/train.ini",
            output:
                **job_outputs(media_ids, "uploads"),
                batch=f"resources/batches/uploaded_{media_ids[0]}.json",
            log:
                f"logs/upload_many/{media_ids[0]}.log",
            conda:
                "../envs/tator.yaml"
            params:
                **job_params(
                    media_ids,
                    takes=[
                        "detections",
                        "outcomes",
                        "records",
                        *plan.boxes_that_fill_gaps,
                    ],
                    makes=["uploads"],
                ),
                host=config["tator"]["host"],
                project_id=config["tator"]["project_id"],
                threshold=config["upload"]["threshold"],
                overlap_limit=config["upload"]["overlap_with_people"],
                on_damaged=config["media"]["on_damaged"],
                finished="resources/finished_uploads",
                version_lost_count=version_lost_count_now,
                code_hash=code("upload_detections"),
            script:
                "../scripts/upload_detections.py"

    # A profile cannot name these rules, as their names end with a media's number.
    if plan.detects:
        set_as_for(f"detect_many_{media_ids[0]}", "detect")
    if not plan.from_folder:
        set_as_for(f"resolve_many_{media_ids[0]}", "resolve_media")
    if plan.uploads:
        set_as_for(f"upload_many_{media_ids[0]}", "upload_detections")
