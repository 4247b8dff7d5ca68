"""Record the interfaces of TensorRT's binding wheels and pycuda's sources: names, signatures, properties.

    pip download --no-deps -d DIR tensorrt_cu12_bindings==10.16.1.11 tensorrt_cu13_bindings==11.4.0.106
    pip download --no-deps -d DIR --no-binary pycuda pycuda==2026.1
    python -m tests.gpu_driver.extract DIR/*.whl DIR/pycuda-*.tar.gz

writes tests/gpu_driver/api/NAME-VERSION.json. The wheels must be for this Python, and a C compiler (`cc`) is
needed: the libraries that the bindings are linked with are not installed, so empty stand-ins are compiled for them. The
docstrings of pybind11 then have the signatures of each class.
"""

import importlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

API = Path(__file__).parent / "api"
# The recorded classes of TensorRT: those that are used to build and run an engine.
CLASSES = (
    "Builder", "Dims", "IBuilderConfig", "ICudaEngine", "IExecutionContext", "IHostMemory", "ILogger",
    "INetworkDefinition", "OnnxParser", "ParserError", "Runtime",
)  # fmt: skip
ENUMS = ("BuilderFlag", "DataType", "ILogger.Severity", "NetworkDefinitionCreationFlag", "TensorIOMode")
PYCUDA_CLASSES = ("Device", "Context", "Stream", "DeviceAllocation", "PagelockedHostAllocation")
PYCUDA_FUNCTIONS = (
    "init", "get_driver_version", "mem_alloc", "memcpy_dtoh_async", "memcpy_htod_async", "pagelocked_empty",
)  # fmt: skip


def of_wheel(wheel: Path) -> dict:
    """Return the interface of a wheel of TensorRT's bindings."""
    name, version = wheel.name.split("-")[:2]
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(wheel).extractall(folder)
        [library] = Path(folder).glob("tensorrt_bindings/tensorrt.so")
        symbols = subprocess.run(["nm", "-D", "-u", library], check=True, capture_output=True, text=True).stdout
        missing = re.findall(r"U ((?:create|get|init)\w*(?:INTERNAL|Registry|Version|Plugins))$", symbols, re.MULTILINE)
        source = Path(folder, "standin.c")
        source.write_text("".join(f"void* {symbol}() {{ return 0; }}\n" for symbol in missing))
        needed = subprocess.run(["readelf", "-d", library], check=True, capture_output=True, text=True).stdout
        for soname in re.findall(r"\[(libnv\S+)\]", needed):
            target = Path(folder, soname)
            subprocess.run(["cc", "-shared", "-fPIC", f"-Wl,-soname,{soname}", "-o", target, source], check=True)
        environ = os.environ | {"LD_LIBRARY_PATH": folder, "PYTHONPATH": str(library.parent)}
        command = [sys.executable, __file__, "--introspect"]
        found = subprocess.run(command, check=True, capture_output=True, text=True, env=environ).stdout
    return {"source": wheel.name, "name": name, "version": version, **json.loads(found)}


def introspect() -> dict:
    """Return the interface of the module `tensorrt`, which must be importable."""
    module = importlib.import_module("tensorrt")
    classes = {name: _class(getattr(module, name)) for name in CLASSES}
    enums = {}
    for name in ENUMS:
        kind = module
        for part in name.split("."):
            kind = getattr(kind, part)
        enums[name] = {member: int(value) for member, value in kind.__members__.items()}
    return {"classes": classes, "enums": enums}


def _class(kind: type) -> dict:
    methods, properties = {}, {}
    for name, member in sorted(vars(kind).items()):
        if isinstance(member, property):
            properties[name] = "read-write" if member.fset else "read-only"
        elif callable(member) and (not name.startswith(("_", "add_")) or name == "__init__"):
            overloads = re.findall(
                rf"^(?:\d+\. )?{name}\((self: .*)\)(?: -> (.+))?$", member.__doc__ or "", re.MULTILINE
            )
            if overloads:
                methods[name] = [{"parameters": _parameters(text), "returns": given} for text, given in overloads]
    return {"methods": methods, "properties": properties}


def _parameters(text: str) -> list[list[str | None]]:
    """Return name, type and default of each parameter except self."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[(<") - (character in "])>")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    found = []
    for part in parts[1:]:
        name, _, rest = part.strip().partition(": ")
        kind, _, default = rest.partition(" = ")
        found.append([name, kind, default or None])
    return found


def of_pycuda(sdist: Path) -> dict:
    """Return the interface of pycuda's driver, from the C++ source of its bindings."""
    with tarfile.open(sdist) as archive:
        text = {
            Path(member.name).name: archive.extractfile(member).read().decode()  # type: ignore[union-attr]
            for member in archive.getmembers()
            if member.name.endswith(("wrapper/wrap_cudadrv.cpp", "src/cpp/cuda.hpp"))
        }
    bindings, native = text["wrap_cudadrv.cpp"], text["cuda.hpp"]
    classes = {}
    for name in PYCUDA_CLASSES:
        body = re.search(rf'typedef (\w+) cl;(?:(?!typedef).)*?"{name}"(.*?)\n  }}', bindings, re.DOTALL)
        if body is None:
            raise SystemExit(f"{sdist}: no class {name}")
        own = re.search(rf"\n  (?:class|struct) {body[1]}\b(.*?)\n  }};", native + bindings, re.DOTALL)
        classes[name] = _pycuda_class(body[2], (own[1] if own else "") + bindings)
    functions = {}
    for name in PYCUDA_FUNCTIONS:
        [(function, arguments)] = re.findall(rf'py::def\("{name}", ([\w:<>]+)(.*?)\);', bindings, re.DOTALL)
        functions[name] = _pycuda_parameters(arguments, function, bindings + native)
    return {
        "source": sdist.name,
        "name": "pycuda",
        "version": sdist.name.removeprefix("pycuda-").removesuffix(".tar.gz"),
        "classes": classes,
        "functions": functions,
        "exceptions": re.findall(r"^ +DECLARE_EXC\((\w+)", bindings, re.MULTILINE),
    }


def _pycuda_class(body: str, native: str) -> dict:
    static = re.findall(r'\.staticmethod\("(\w+)"\)', body)
    methods = {}
    for simple, name, function, arguments in re.findall(
        r'\.(?:DEF_SIMPLE_METHOD\((\w+)\)|def\("(\w+)", ([&\w:]+)(.*?)\)\n)', body, re.DOTALL
    ):
        methods[simple or name] = _pycuda_parameters(arguments, function or simple, native)
    if constructor := re.search(r"py::init<[^>]*>\((.*?)\)\)", body):
        methods["__init__"] = _pycuda_parameters(constructor[1] + ")", "", native)
    return {"methods": methods, "static": static, "properties": re.findall(r'\.add_property\("(\w+)"', body)}


def _pycuda_parameters(arguments: str, function: str, native: str) -> list[list[str | None]]:
    """Return name and default of each parameter except self; a name of None is positional only."""
    found: list[list[str | None]] = []
    for names, default in re.findall(r"py::args?\(([^)]*)\)(?:=(\"\w+\"|py::object\(\)|\w+))?", arguments):
        found += [[name, default or None] for name in re.findall(r'"(\w+)"', names) if name != "self"]
    if found or not function:
        return found
    name = function.rpartition("::")[2].partition("<")[0].lstrip("&")
    declared = re.search(rf"\b{name}\(([^()]*)\)", native)
    parameters = [part for part in declared[1].split(",") if part.strip()] if declared else []
    return [[None, None] for part in parameters if "shared_ptr<context>" not in part]


def main(paths: list[str]) -> None:
    for path in map(Path, paths):
        api = of_wheel(path) if path.suffix == ".whl" else of_pycuda(path)
        name = "pycuda" if api["name"] == "pycuda" else "tensorrt"
        target = API / f"{name}-{api['version']}.json"
        target.write_text(json.dumps(api, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["--introspect"]:
        json.dump(introspect(), sys.stdout)
    else:
        main(sys.argv[1:])
