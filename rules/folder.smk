"""The user's folder as the source of media: the table of its files and their ids."""


rule tabulate_media:
    input:
        **gathered("records"),
    output:
        media_table="results/media.csv",
    log:
        "logs/tabulate_media.log",
    conda:
        "../envs/detect.yaml"
    params:
        **gathered_params("records"),
        **plan.listing,
        given_files=plan.files_digest(plan.media_ids),
        code=code("tabulate_media"),
    script:
        "../scripts/tabulate_media.py"
