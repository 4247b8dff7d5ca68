"""The sections and attributes of the media in Tator, which become columns of the tables of counts."""


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
        **gathered_params("records"),
        host=config["tator"]["host"],
        project_id=config["tator"]["project_id"],
        mark_attribute=config["mark"]["attribute"],
        count_attributes=list(plan.count_attributes.values()),
        code=code("get_attributes"),
    script:
        "../scripts/get_attributes.py"
