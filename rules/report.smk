"""The report of the run, and the evaluation if true boxes are given."""


rule get_truth:
    input:
        **gathered("records"),
        train_ini="resources/network/train.ini",
    output:
        truth="resources/truth.csv",
    log:
        "logs/get_truth.log",
    priority: 20  # so that a wrong file is found before hours of detection
    conda:
        "../envs/report.yaml"
    params:
        **gathered_params("records"),
        **plan.truth_in_tator,
        # Not an input: Snakemake ends a run in which an input is dated in the future.
        truth_file=plan.truth_file,
        given_files=truth_file_state,
        code=code("get_truth"),
    script:
        "../scripts/get_truth.py"


rule evaluate:
    input:
        **gathered("detections", "outcomes"),
        truth="resources/truth.csv",
        train_ini="resources/network/train.ini",
    output:
        evaluation="results/evaluation.json",
    log:
        "logs/evaluate.log",
    conda:
        "../envs/report.yaml"
    params:
        **gathered_params("detections", "outcomes"),
        iou=config["evaluate"]["iou"],
        only_frames_with_truth=config["evaluate"]["only_frames_with_truth"],
        pictures=config["evaluate"]["pictures"],
        keep_threshold=config["detect"]["keep_threshold"],
        upload_threshold=config["upload"]["threshold"],
        code=code("evaluate"),
    script:
        "../scripts/evaluate.py"


rule picture_errors:
    input:
        **gathered("records"),
        evaluation="results/evaluation.json",
    output:
        pictures="results/evaluation.zip",
    log:
        "logs/picture_errors.log",
    conda:
        "../envs/report.yaml"
    params:
        **gathered_params("records"),
        **plan.place,
        code=code("picture_errors"),
    script:
        "../scripts/picture_errors.py"


rule make_report:
    input:
        **gathered(*plan.reported, *plan.tracks),
        evaluation=if_set(
            plan.evaluated, "results/evaluation.json", "results/evaluation.zip"
        ),
        track_pictures=if_set(plan.tracks_in_pictures, "results/tracks.zip"),
        counts="results/counts.csv",
        intervals="results/counts_by_interval.csv",
        summary="results/summary.json",
        train_ini="resources/network/train.ini",
    output:
        page=report(
            "results/overview.html",
            caption="../reports/overview.rst",
            category="Overview",
            labels={"what": "The run on one page", "format": "HTML"},
        ),
    log:
        "logs/make_report.log",
    # Before `conclude`, which fails if a media failed.
    priority: 20
    conda:
        "../envs/report.yaml"
    params:
        **gathered_params(*plan.reported, *plan.tracks),
        **plan.without_tracks,
        **plan.site,
        keep_threshold=config["detect"]["keep_threshold"],
        upload_threshold=config["upload"]["threshold"],
        media_in_detail=config["report"]["media_in_detail"],
        settings=config,
        code=code("make_report"),
    script:
        "../scripts/make_report.py"
