"""The settings of pycuda's build for machines without a driver: headers of all packages, and a library of its name."""

import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.pycuda_settings import LIBRARY, main
from tests.needs import lacking
from tests.workflow import ROOT


@pytest.fixture
def built(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """Return the folder, and the settings as pycuda reads them."""
    packages, folder = tmp_path / "packages", tmp_path / "home"
    if shutil.which("g++") is None:
        lacking("g++ is not installed")
    for name, header in (("cuda_runtime", "cuda.h"), ("cuda_profiler_api", "cudaProfiler.h")):
        (packages / "nvidia" / name / "include").mkdir(parents=True)
        (packages / "nvidia" / name / "include" / header).touch()
    folder.mkdir()
    main([str(folder)], packages)
    return folder, runpy.run_path(str(folder / ".aksetup-defaults.py"))


def test_the_headers_of_all_packages_are_found(built: tuple[Path, dict[str, Any]]) -> None:
    headers = [file.name for folder in built[1]["CUDA_INC_DIR"] for file in Path(folder).iterdir()]
    assert headers == ["cudaProfiler.h", "cuda.h"]


def test_a_module_is_linked_without_the_driver_and_needs_it_when_it_is_loaded(
    built: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, settings = built
    (tmp_path / "a.cpp").write_text('extern "C" int cuInit(unsigned); int use() { return cuInit(0); }')
    # As on systems whose compiler is told --as-needed by default; setuptools puts the build's own words last.
    link = ["g++", "-shared", "-fPIC", "-Wl,--as-needed", "a.cpp"]
    link += [f"-L{one}" for one in settings["CUDADRV_LIB_DIR"]] + [f"-l{one}" for one in settings["CUDADRV_LIBNAME"]]
    link += ["-o", "a.so", *settings["LDFLAGS"]]
    subprocess.run(link, cwd=tmp_path, check=True, env=os.environ | {"HOME": str(folder)})
    assert LIBRARY.encode() in (tmp_path / "a.so").read_bytes()


def test_the_image_builds_pycuda_with_these_settings() -> None:
    docker = (ROOT / "deploy/Dockerfile").read_text().replace("\\\n", " ")
    assert re.search(r"^COPY .*deploy/pycuda_settings\.py .*/tmp/$", docker, re.MULTILINE)
    assert docker.index("requirements.lock;") < docker.index("pycuda_settings.py /tmp/home; export HOME=/tmp/home;")
    assert docker.index("export HOME=/tmp/home;") < docker.index("-r /tmp/requirements-pycuda.lock;")
    assert "!deploy/pycuda_settings.py" in (ROOT / ".dockerignore").read_text().splitlines()
