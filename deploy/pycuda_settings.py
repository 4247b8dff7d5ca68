"""Prepare a folder as HOME to build pycuda, which has no wheel: `python pycuda_settings.py FOLDER`.

The headers are those of NVIDIA's packages in this Python's environment. The driver's library is on machines with a GPU
only, so pycuda is linked with an empty one of its name: the real one is loaded when pycuda is imported. This script is
also run in the build of the image, where the workflow is not.
"""

import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

LIBRARY = "libcuda.so.1"


def settings(folder: Path, packages: Path) -> str:
    """Return the content of the file that pycuda's build reads.

    Args:
        folder: the folder of the empty library.
        packages: the folder of the installed packages.
    """
    headers = sorted(map(str, packages.glob("nvidia/*/include")))
    return (
        f"CUDA_INC_DIR = {headers!r}\n"
        "CUDA_ENABLE_CURAND = False\n"
        f"CUDADRV_LIBNAME = [':{LIBRARY}']\n"
        f"CUDADRV_LIB_DIR = [{str(folder)!r}]\n"
        # Some systems' linkers leave out a library of which nothing is used, as of an empty one. These words come after
        # the libraries, so they name it again.
        f"LDFLAGS = {['-Wl,--no-as-needed', f'-L{folder}', f'-l:{LIBRARY}']!r}\n"
    )


def main(words: Sequence[str], packages: Path | None = None) -> None:
    """Write the settings and the empty library.

    Raises:
        subprocess.CalledProcessError: the library cannot be linked.
    """
    folder = Path(words[0]).resolve()
    link = ["g++", "-shared", "-nostdlib", f"-Wl,-soname,{LIBRARY}", "-x", "c++", "/dev/null"]
    subprocess.run([*link, "-o", str(folder / LIBRARY)], check=True)
    written = settings(folder, packages or Path(sysconfig.get_paths()["purelib"]))
    (folder / ".aksetup-defaults.py").write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
