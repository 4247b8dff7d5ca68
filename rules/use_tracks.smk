"""Uses of tracks: other file formats, pictures, and the evaluation against true tracks."""


rule get_true_tracks:
    input:
        **gathered("records"),
    output:
        true_tracks="resources/true_tracks.csv",
    log:
        "logs/get_true_tracks.log",
    priority: 20  # so that a wrong file is found before hours of detection
    conda:
        "../envs/report.yaml"
    params:
        **gathered_params("records"),
        **plan.track_truth_in_tator,
        # Not an input: Snakemake ends a run in which an input is dated in the future.
        track_truth_file=plan.track_truth_file,
        given_files=track_truth_state,
        code=code("get_true_tracks"),
    script:
        "../scripts/get_true_tracks.py"


rule evaluate_tracks:
    input:
        **gathered("outcomes", "tracks", "track_boxes"),
        true_tracks="resources/true_tracks.csv",
    output:
        evaluation="results/track_evaluation.json",
    log:
        "logs/evaluate_tracks.log",
    conda:
        "../envs/report.yaml"
    params:
        **gathered_params("outcomes", "tracks", "track_boxes"),
        fill_gaps=config["track"]["fill_gaps"],
        code=code("evaluate_tracks"),
    script:
        "../scripts/evaluate_tracks.py"


rule crop_tracks:
    input:
        **gathered("records", "outcomes", "tracks", "track_boxes"),
    output:
        pictures="results/tracks.zip",
    log:
        "logs/crop_tracks.log",
    conda:
        "../envs/report.yaml"
    params:
        **gathered_params("records", "outcomes", "tracks", "track_boxes"),
        **plan.place,
        per_kind=config["report"]["tracks"],
        code=code("crop_tracks"),
    script:
        "../scripts/crop_tracks.py"


rule export_tracks:
    input:
        **gathered("records", "outcomes", "tracks", "track_boxes"),
        train_ini="resources/network/train.ini",
    output:
        mot=directory("results/mot"),
        viame=directory("results/viame"),
        coco="results/tracks.coco.json",
    log:
        "logs/export_tracks.log",
    conda:
        "../envs/detect.yaml"
    params:
        **gathered_params("records", "outcomes", "tracks", "track_boxes"),
        fill_gaps=config["track"]["fill_gaps"],
        code=code("export_tracks"),
    script:
        "../scripts/export_tracks.py"
