"""The boxes in the formats of labelling programs, each if its setting is set."""


rule export_megadetector:
    input:
        **gathered("records", "outcomes", "detections"),
        train_ini="resources/network/train.ini",
        provenance="resources/network/provenance.json",
    output:
        megadetector="results/detections.megadetector.json",
    log:
        "logs/export_megadetector.log",
    conda:
        "../envs/report.yaml"
    params:
        **gathered_params("records", "outcomes", "detections"),
        keep_threshold=config["detect"]["keep_threshold"],
        code=code("export_megadetector"),
    script:
        "../scripts/export_megadetector.py"


rule export_yolo:
    input:
        **gathered("records", "outcomes", "detections"),
        train_ini="resources/network/train.ini",
    output:
        yolo=directory("results/yolo"),
    log:
        "logs/export_yolo.log",
    conda:
        "../envs/report.yaml"
    params:
        **gathered_params("records", "outcomes", "detections"),
        code=code("export_yolo"),
    script:
        "../scripts/export_yolo.py"


rule export_cvat:
    input:
        **gathered("records", "outcomes", "detections"),
        train_ini="resources/network/train.ini",
    output:
        cvat=directory("results/cvat"),
    log:
        "logs/export_cvat.log",
    conda:
        "../envs/report.yaml"
    params:
        **gathered_params("records", "outcomes", "detections"),
        code=code("export_cvat"),
    script:
        "../scripts/export_cvat.py"


rule export_label_studio:
    input:
        **gathered("records", "outcomes", "detections"),
        train_ini="resources/network/train.ini",
        provenance="resources/network/provenance.json",
    output:
        label_studio="results/detections.label_studio.json",
    log:
        "logs/export_label_studio.log",
    conda:
        "../envs/report.yaml"
    params:
        **gathered_params("records", "outcomes", "detections"),
        code=code("export_label_studio"),
    script:
        "../scripts/export_label_studio.py"
