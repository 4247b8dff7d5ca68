"""Several media in a job, where media.per_job asks for it: the same files as those of the rules for one media.

No rule here makes the files of all media, and a job takes one file of the job before it, with the hashes of the others,
which come by way of its parameters, or as inputs where jobs share no disk; docs/sizing.md says what that saves.
"""

for media_ids in plan.shared_jobs:

    if plan.from_folder:

        rule:
            name:
                f"list_many_{media_ids[0]}"
            output:
                records=plan.of(media_ids, "resources/records/{media_id}.json"),
                batch=f"resources/batches/resolved_{media_ids[0]}.json",
            log:
                f"logs/list_many/{media_ids[0]}.log",
            conda:
                "../envs/detect.yaml"
            params:
                **plan.listing,
                kind=config["media"]["kind"],
                changed_by=config["media"]["changed_by"],
                given_files=plan.files_digest(media_ids),
                code=code("list_media"),
            script:
                "../scripts/list_media.py"

    else:

        rule:
            name:
                f"resolve_many_{media_ids[0]}"
            output:
                records=plan.of(media_ids, "resources/records/{media_id}.json"),
                batch=f"resources/batches/resolved_{media_ids[0]}.json",
            log:
                f"logs/resolve_many/{media_ids[0]}.log",
            conda:
                "../envs/tator.yaml"
            params:
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

    rule:
        name:
            f"detect_many_{media_ids[0]}"
        input:
            plan.beside_graph,
            *map(ancient, plan.in_tator("resources/destination.json")),
            f"resources/batches/resolved_{media_ids[0]}.json",
            **as_inputs(media_ids, records="resources/records/{media_id}.json"),
            graph=ancient(plan.detect_graph),
            train_ini="resources/network/train.ini",
            provenance="resources/network/provenance.json",
            changes=plan.graph_changes,
        output:
            detections=plan.of(media_ids, "results/detections/{media_id}.csv"),
            outcomes=plan.of(media_ids, "results/detections/{media_id}.json"),
            previews=plan.of(media_ids, "results/previews/{media_id}.zip"),
            batch=f"resources/batches/detected_{media_ids[0]}.json",
        log:
            f"logs/detect_many/{media_ids[0]}.log",
        priority: 10
        conda:
            plan.detect_environment
        threads: 4
        params:
            **plan.detect_options,
            **as_params("outcomes", records="resources/records/{media_id}.json"),
            **downloads_of("outcomes"),
            **plan.place,
            finished="resources/finished",
            code_hash=code("detect"),
        script:
            "../scripts/detect.py"

    if not plan.from_folder:

        rule:
            name:
                f"upload_many_{media_ids[0]}"
            input:
                f"resources/batches/detected_{media_ids[0]}.json",
                if_asked(
                    plan.boxes_that_fill_gaps,
                    f"resources/batches/tracked_{media_ids[0]}.json",
                ),
                **as_inputs(
                    media_ids,
                    detections="results/detections/{media_id}.csv",
                    outcomes="results/detections/{media_id}.json",
                    records="resources/records/{media_id}.json",
                    **plan.boxes_that_fill_gaps,
                ),
                destination="resources/destination.json",
                train_ini="resources/network/train.ini",
            output:
                uploads=plan.of(media_ids, "results/uploads/{media_id}.json"),
                batch=f"resources/batches/uploaded_{media_ids[0]}.json",
            log:
                f"logs/upload_many/{media_ids[0]}.log",
            conda:
                "../envs/tator.yaml"
            params:
                **as_params(
                    "uploads",
                    detections="results/detections/{media_id}.csv",
                    outcomes="results/detections/{media_id}.json",
                    records="resources/records/{media_id}.json",
                    **plan.boxes_that_fill_gaps,
                ),
                host=config["tator"]["host"],
                project_id=config["tator"]["project_id"],
                threshold=config["upload"]["threshold"],
                overlap_limit=config["upload"]["overlap_with_people"],
                on_damaged=config["media"]["on_damaged"],
                finished="resources/finished_uploads",
                losses=losses_now,
                code_hash=code("upload_detections"),
            script:
                "../scripts/upload_detections.py"

    # Which number a job's name ends with, no profile knows.
    set_as_for(f"detect_many_{media_ids[0]}", "detect")
    if not plan.from_folder:
        set_as_for(f"resolve_many_{media_ids[0]}", "resolve_media")
        set_as_for(f"upload_many_{media_ids[0]}", "upload_detections")
