"""Steps for the boxes of all media in Tator: their destination, and the marks."""


checkpoint prepare_upload:
    input:
        train_ini="resources/network/train.ini",
        provenance="resources/network/provenance.json",
    output:
        destination="resources/destination.json",
    log:
        "logs/prepare_upload.log",
    conda:
        "../envs/tator.yaml"
    params:
        host=config["tator"]["host"],
        project_id=config["tator"]["project_id"],
        localization_type_id=config["upload"]["localization_type_id"],
        species_attribute=config["upload"]["species_attribute"],
        confidence_attribute=config["upload"]["confidence_attribute"],
        version=config["upload"]["version"],
        version_id=config["upload"]["version_id"],
        version_number=config["upload"]["version_number"],
        track_type_id=config["upload"]["track_type_id"],
        track_length_attribute=config["upload"]["track_length_attribute"],
        counted_species=list(plan.count_attributes),
        true_versions=plan.true_versions,
        version_lost_count=version_lost_count_now,
        code=code("prepare_upload"),
    script:
        "../scripts/prepare_upload.py"


rule mark_processed:
    input:
        **gathered("uploads", *plan.finished_tracks),
        counts=plan.counts_in_tator,
    output:
        marks="results/marks.json",
    log:
        "logs/mark_processed.log",
    conda:
        "../envs/tator.yaml"
    params:
        **gathered_params("uploads", *plan.finished_tracks),
        host=config["tator"]["host"],
        project_id=config["tator"]["project_id"],
        attribute=config["mark"]["attribute"],
        # Not an output, as Snakemake removes outputs before a job.
        memory="resources/written_marks.json",
        code=code("mark_processed"),
    script:
        "../scripts/mark_processed.py"
