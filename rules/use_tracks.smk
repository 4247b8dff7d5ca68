"""What is made of tracks: other forms of them, and how well they agree with true ones."""


rule evaluate_tracks:
    input:
        **gathered("outcomes", "track_boxes"),
    output:
        evaluation="results/track_evaluation.json",
    log:
        "logs/evaluate_tracks.log",
    conda:
        "../envs/report.yaml"
    params:
        **gathered_by_hashes("outcomes", "track_boxes"),
        # No input: Snakemake ends a run in which an input is dated in the future.
        track_truth_file=config["evaluate"]["track_truth_file"],
        fill_gaps=config["track"]["fill_gaps"],
        given_files=track_truth_state,
        code=code("evaluate_tracks"),
    script:
        "../scripts/evaluate_tracks.py"


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
        **gathered_by_hashes("records", "outcomes", "tracks", "track_boxes"),
        fill_gaps=config["track"]["fill_gaps"],
        code=code("export_tracks"),
    script:
        "../scripts/export_tracks.py"
