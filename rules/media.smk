"""The media: a record of each in resources/records/, its file in resources/media/."""


# A checkpoint, though nothing asks for its output by name: after it, Snakemake plans anew, by the records' content. So
# one more media, or another look at Tator, makes run again only the media whose record changed.
checkpoint resolve_media:
    output:
        records=every("resources/records/{media_id}.json"),
    log:
        "logs/resolve_media.log",
    conda:
        "../envs/tator.yaml"
    params:
        host=config["tator"]["host"],
        project_id=config["tator"]["project_id"],
        media_ids=config["tator"]["media_ids"],
        kind=config["media"]["kind"],
        skip_processed=config["media"]["skip_processed"],
        mark_attribute=config["mark"]["attribute"],
        code=code("resolve_media"),
    script:
        "../scripts/resolve_media.py"


# No `retries:` here or anywhere: the script itself resumes and tries again, for as long as
# scripts/lib/tator_api.py says.
rule download_media:
    input:
        # Nothing large is moved before the network and the place of its boxes are known to be good.
        ancient("resources/network/provenance.json"),
        ancient("resources/destination.json"),
        record="resources/records/{media_id}.json",
    output:
        media=unless_kept("resources/media/{media_id}"),
        download="resources/downloads/{media_id}.json",
    log:
        "logs/download_media/{media_id}.log",
    conda:
        "../envs/tator.yaml"
    params:
        host=config["tator"]["host"],
        project_id=config["tator"]["project_id"],
        code=code("download_media"),
    script:
        "../scripts/download_media.py"
