"""The media's files, in resources/media/."""


# No rule has `retries:`: the scripts retry calls, for as long as scripts/lib/network_access/retry.py allows.
rule download_media:
    input:
        # Media are downloaded only after the network and the destination of the boxes were checked.
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
