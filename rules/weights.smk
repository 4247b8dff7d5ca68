"""The network: resources/network/ (graph, train.ini, provenance.json) out of a folder or a data image."""


rule get_network:
    input:
        network_files(),
    output:
        graph=GRAPH,
        train_ini="resources/network/train.ini",
        provenance="resources/network/provenance.json",
    log:
        "logs/get_network.log",
    params:
        directory=config["network"]["directory"],
        data_image=config["network"]["data_image"],
        fetch=config["network"]["fetch"],
        digest=config["network"]["digest"],
        sha256=config["network"]["sha256"],
        code=code("get_network"),
    priority: 100
    conda:
        "../envs/network.yaml"
    script:
        "../scripts/get_network.py"
