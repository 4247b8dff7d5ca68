"""Counts as attributes of the media in Tator, if counts.attributes is set; before the marks."""


rule write_counts:
    input:
        **gathered("records", "outcomes", "uploads"),
        counts="results/counts.csv",
    output:
        counts_in_tator="results/counts_in_tator.json",
    log:
        "logs/write_counts.log",
    conda:
        "../envs/tator.yaml"
    params:
        **gathered_params("records", "outcomes", "uploads"),
        host=config["tator"]["host"],
        project_id=config["tator"]["project_id"],
        attributes=plan.count_attributes,
        # Not an output, as Snakemake removes outputs before a job.
        memory="resources/written_counts.json",
        code=code("write_counts"),
    script:
        "../scripts/write_counts.py"
