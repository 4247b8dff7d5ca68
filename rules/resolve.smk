"""The media in Tator: a record of each in resources/records/."""


# A checkpoint: after it, Snakemake plans again with the contents of the records. So after a new media was added, or
# Tator was read again, only the media whose record changed are processed again.
checkpoint resolve_media:
    output:
        records=plan.every("resources/records/{media_id}.json"),
    log:
        "logs/resolve_media.log",
    conda:
        "../envs/tator.yaml"
    params:
        host=config["tator"]["host"],
        project_id=config["tator"]["project_id"],
        media_ids=config["tator"]["media_ids"],
        kind=config["media"]["kind"],
        file=config["media"]["file"],
        skip_processed=config["media"]["skip_processed"],
        mark_attribute=config["mark"]["attribute"],
        count_attributes=list(plan.count_attributes.values()),
        # Not inputs: these jobs come later, and only an earlier start of the run has left such files.
        uploads=of_these(plan.media_ids, "results/uploads/{media_id}.json"),
        code=code("resolve_media"),
    script:
        "../scripts/resolve_media.py"
