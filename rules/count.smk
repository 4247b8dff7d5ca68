"""Counts of animals: MaxN and related figures, as tables."""


rule count_species:
    input:
        **gathered("records", "outcomes", "detections", *plan.tracks),
        attributes=if_set(not plan.from_folder, "resources/attributes.json"),
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
        **gathered_params("records", "outcomes", "detections", *plan.tracks),
        **plan.without_tracks,
        threshold=plan.counts_threshold,
        interval_seconds=config["counts"]["interval_seconds"],
        code=code("count_species"),
    script:
        "../scripts/count_species.py"
