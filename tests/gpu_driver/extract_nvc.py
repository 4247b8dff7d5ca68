"""Record the interface of PyNvVideoCodec's wheel, as extract.py does for TensorRT's.

pip download --no-deps -d DIR PyNvVideoCodec==2.2.4
python -m tests.gpu_driver.extract_nvc DIR/pynvvideocodec-*.whl
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tests.gpu_driver.extract import API, _class, _parameters

CLASSES, ENUMS = ("PyNvDecoder", "PacketData", "DecodedFrame"), ("cudaVideoCodec", "Pixel_Format")
FUNCTIONS = ("CreateDecoder",)
_LIBRARY = "PyNvVideoCodec/PyNvVideoCodec_130*.so"


def of_wheel(wheel: Path) -> dict:
    """Return the interface of the wheel; an empty stand-in takes the place of the driver's library."""
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(wheel).extractall(folder)
        libraries = [*Path(folder).glob(_LIBRARY), *Path(folder).glob("*/libcudart*")]
        symbols = subprocess.run(["nm", "-D", "-u", *libraries], check=True, capture_output=True, text=True).stdout
        missing = sorted(set(re.findall(r" U (cu[A-Z]\w*)$", symbols, re.MULTILINE)))
        source = Path(folder, "standin.c")
        source.write_text("".join(f"int {symbol}() {{ return 100; }}\n" for symbol in missing))
        subprocess.run(["cc", "-shared", "-fPIC", "-o", Path(folder, "libcuda.so.1"), source], check=True)
        command = [sys.executable, "-m", "tests.gpu_driver.extract_nvc", "--introspect", str(libraries[0])]
        environ = os.environ | {"LD_LIBRARY_PATH": folder}
        found = subprocess.run(command, check=True, capture_output=True, text=True, env=environ).stdout
    name, version = wheel.name.split("-")[:2]
    return {"source": wheel.name, "name": name, "version": version, **json.loads(found)}


def introspect(library: Path) -> dict:
    """Return the interface of the module."""
    spec = importlib.util.spec_from_file_location("_PyNvVideoCodec", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    functions = {}
    for name in FUNCTIONS:
        calls = re.findall(rf"^(?:\d+\. )?{name}\((.*)\)(?: -> (.+))?$", getattr(module, name).__doc__, re.MULTILINE)
        functions[name] = [
            {"parameters": _parameters(f"self, {text}"), "returns": given}
            for text, given in calls
            if "*args" not in text
        ]
    return {
        "classes": {name: _class(getattr(module, name)) for name in CLASSES},
        "enums": {
            name: {member: int(value) for member, value in getattr(module, name).__members__.items()} for name in ENUMS
        },
        "functions": functions,
    }


if __name__ == "__main__":
    if sys.argv[1] == "--introspect":
        json.dump(introspect(Path(sys.argv[2])), sys.stdout)
    else:
        for wheel in map(Path, sys.argv[1:]):
            api = of_wheel(wheel)
            (API / f"{api['name']}-{api['version']}.json").write_text(json.dumps(api, indent=1) + "\n")
