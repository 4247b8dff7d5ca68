"""Match the files of the user's folder with media in Tator, if upload.match is set."""


# A checkpoint, like list_media: if the matches are the same as before, no upload is done again.
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
        **gathered_params("records"),
        **plan.listing,
        match_by=config["upload"]["match"],
        host=config["tator"]["host"],
        project_id=config["tator"]["project_id"],
        media_ids=config["tator"]["media_ids"],
        mark_attribute=config["mark"]["attribute"],
        code=code("match_media"),
    script:
        "../scripts/match_media.py"
