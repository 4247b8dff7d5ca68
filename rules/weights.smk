"""The network: resources/network/ (graph, train.ini, provenance.json) from a folder, a data image or an archive."""


# A checkpoint, like resolve_media: if the same network is fetched again, no other job runs again.
checkpoint get_network:
    output:
        **plan.weights_of_graph,
        graph=f"resources/network/{config['network']['graph']}",
        train_ini="resources/network/train.ini",
        provenance="resources/network/provenance.json",
    log:
        "logs/get_network.log",
    conda:
        "../envs/network.yaml"
    params:
        **plan.network_settings,
        directory=config["network"]["directory"],
        data_image=config["network"]["data_image"],
        archive=config["network"]["archive"],
        fetch=config["network"]["fetch"],
        ca_file=config["network"]["ca_file"],
        digest=config["network"]["digest"],
        sha256=config["network"]["sha256"],
        digest_of_tag=digest_now,
        # Not inputs: Snakemake ends a run in which an input is dated in the future.
        given_files=network_files_state,
        code=code("get_network"),
    script:
        "../scripts/get_network.py"


# Used only with engines that cannot read graph.pb, or if its output is requested by name.
rule convert_network:
    input:
        "resources/network/provenance.json",
        graph=ancient("resources/network/graph.pb"),
    output:
        onnx="resources/network/converted/graph.onnx",
        record="resources/network/converted/record.json",
    log:
        "logs/convert_network.log",
    conda:
        "../envs/convert.yaml"
    threads: 4
    params:
        img_max_side=config["detect"]["img_max_side"],
        img_min_side=config["detect"]["img_min_side"],
        code=code("convert_network"),
    script:
        "../scripts/convert_network.py"


# A change of the media does not run it again: otherwise frames of one run would be scored by different networks.
rule quantize_network:
    input:
        # The weights of an .xml file; other files contain their weights.
        *plan.weights_of_graph.values(),
        **files_to_quantize_with(),
        provenance="resources/network/provenance.json",
        train_ini=ancient("resources/network/train.ini"),
        graph=ancient(f"resources/network/{config['network']['graph']}"),
    output:
        quantized="resources/network/int8/graph.xml",
        weights="resources/network/int8/graph.bin",
        # `update`, so that Snakemake does not remove it before the job: it names the chosen media, which the job reads.
        drift=update("resources/network/int8/drift.json"),
    log:
        "logs/quantize_network.log",
    conda:
        "../envs/quantize.yaml"
    threads: 4
    params:
        **plan.listing,
        img_max_side=config["detect"]["img_max_side"],
        img_min_side=config["detect"]["img_min_side"],
        keep_threshold=config["detect"]["keep_threshold"],
        nms=config["network"]["nms"],
        calibration_frames=config["detect"]["calibration_frames"],
        tiles=config["detect"]["tiles"],
        max_drift=config["detect"]["max_drift"],
        code=code("quantize_network"),
    script:
        "../scripts/quantize_network.py"


# Used only with TensorRT. The engine file is not an output, as it depends on the machine's GPU; a detection job on
# another model of GPU builds another file in the same folder.
rule build_engine:
    input:
        # A job that only has an `ancient` edge to one that runs is not checked for changes of its settings.
        plan.graph_changes,
        provenance="resources/network/provenance.json",
        graph=ancient(plan.onnx_graph),
    output:
        record="resources/network/engine.json",
    log:
        "logs/build_engine.log",
    conda:
        "../envs/tensorrt.yaml"
    params:
        engines="resources/network/engines",
        img_max_side=config["detect"]["img_max_side"],
        img_min_side=config["detect"]["img_min_side"],
        batch_size=config["detect"]["batch_size"],
        precision=config["detect"]["precision"],
        device=config["detect"]["device"],
        code=code("build_engine"),
    script:
        "../scripts/build_engine.py"
