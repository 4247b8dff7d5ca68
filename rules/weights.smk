"""The network: resources/network/ (graph, train.ini, provenance.json) out of a folder, a data image or an archive."""


# A checkpoint for the same reason as resolve_media: the same network, fetched again, makes nothing run again.
checkpoint get_network:
    input:
        network_files,
    output:
        graph=f"resources/network/{config['network']['graph']}",
        train_ini="resources/network/train.ini",
        provenance="resources/network/provenance.json",
    log:
        "logs/get_network.log",
    conda:
        "../envs/network.yaml"
    params:
        directory=config["network"]["directory"],
        data_image=config["network"]["data_image"],
        archive=config["network"]["archive"],
        fetch=config["network"]["fetch"],
        ca_file=config["network"]["ca_file"],
        digest=config["network"]["digest"],
        sha256=config["network"]["sha256"],
        tag_stands_for=digest_now,
        code=code("get_network"),
    script:
        "../scripts/get_network.py"
