"""The media in Tator that the files of the user's folder are, where upload.match asks for it."""


# A checkpoint, as list_media is: where another look finds the same, no upload is done again.
checkpoint match_media:
    input:
        **gathered("records"),
    output:
        matches=plan.every_match,
        match_table="results/matches.csv",
    log:
        "logs/match_media.log",
    conda:
        "../envs/tator.yaml"
    params:
        **gathered_by_hashes("records"),
        **plan.listing,
        match_by=config["upload"]["match"],
        host=config["tator"]["host"],
        project_id=config["tator"]["project_id"],
        media_ids=config["tator"]["media_ids"],
        mark_attribute=config["mark"]["attribute"],
        code=code("match_media"),
    script:
        "../scripts/match_media.py"
