"""The files of the user's folder: a record of each in resources/records/."""


# A checkpoint, like resolve_media: after it, Snakemake plans again with the contents of the records. So if a file was
# added or changed, only the media whose record changed are processed again.
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
        # The user's files are not inputs, as Snakemake ends a run in which an input is dated in the future.
        given_files=plan.files_digest(plan.media_ids),
        code=code("list_media"),
    script:
        "../scripts/list_media.py"
