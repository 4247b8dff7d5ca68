"""The files of the user's folder: a record of each in resources/records/."""


# A checkpoint, like resolve_media: after it, Snakemake plans again, from the records' content. So a new or changed file
# reruns only the media whose record changed.
checkpoint list_media:
    output:
        records=plan.every("resources/records/{media_id}.json"),
    log:
        "logs/list_media.log",
    conda:
        "../envs/detect.yaml"
    params:
        **plan.listing,
        kind=config["media"]["kind"],
        changed_by=config["media"]["changed_by"],
        md5=config["media"]["md5"],
        # Not inputs: they are the user's, and Snakemake ends a run in which an input is dated in the future.
        given_files=plan.files_digest(plan.media_ids),
        code=code("list_media"),
    script:
        "../scripts/list_media.py"
