"""How many animals there are: MaxN and what is reported beside it, as tables."""


rule get_attributes:
    input:
        **gathered("records"),
    output:
        attributes="resources/attributes.json",
    log:
        "logs/get_attributes.log",
    conda:
        "../envs/tator.yaml"
    params:
        **gathered_by_hashes("records"),
        host=config["tator"]["host"],
        project_id=config["tator"]["project_id"],
        mark_attribute=config["mark"]["attribute"],
        code=code("get_attributes"),
    script:
        "../scripts/get_attributes.py"


rule count_species:
    input:
        **gathered("records", "outcomes", "detections", *plan.tracks),
        attributes="resources/attributes.json",
        train_ini="resources/network/train.ini",
    output:
        counts=report(
            "results/counts.csv",
            caption="../reports/counts.rst",
            category="Results",
            labels={"what": "MaxN by media and species", "format": "CSV"},
        ),
        intervals="results/counts_by_interval.csv",
    log:
        "logs/count_species.log",
    conda:
        "../envs/detect.yaml"
    params:
        **gathered_by_hashes("records", "outcomes", "detections", *plan.tracks),
        **plan.without_tracks,
        threshold=plan.counts_threshold,
        interval_seconds=config["counts"]["interval_seconds"],
        code=code("count_species"),
    script:
        "../scripts/count_species.py"
