"""Run a command, such as the whole workflow, so that it writes into one folder and reaches only the named hosts.

    python deploy/run_sandboxed.py --allow tator.example.org:443 --directory RUN -- snakemake --directory RUN ...

Everything is read-only but the folder; homes and sockets are hidden but for the workflow and Python. There is no
network: on the loopback inside, each named host has an address of its own, and this process relays connections to it.
Names and certificates stay as they are. It needs bubblewrap, and user namespaces allowed for your user.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.lib.workflow.jobs import sandbox  # noqa: E402

_PIECE = 2**16
_STOP = b"s"
_Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@dataclass(frozen=True)
class Host:
    """A host that may be reached.

    Attributes:
        name: its name, or a loopback address.
        port: the port there.
        inside: its address in the sandbox.
        socket: where this process accepts connections to it.
    """

    name: str
    port: int
    inside: str
    socket: str


def hosts(allowed: Sequence[str], folder: Path) -> list[Host]:
    """Return the hosts that the command line names; those of the same name have the same address.

    Raises:
        SystemExit: one is not HOST:PORT, or is an address that cannot be moved to the loopback.
    """
    inside: dict[str, str] = {}
    found = []
    for number, text in enumerate(allowed):
        name, _, port = text.rpartition(":")
        if not name or not port.isdigit():
            raise SystemExit(f"--allow {text}: expected HOST:PORT, such as tator.example.org:443")
        with suppress(ValueError):
            if not ip_address(name).is_loopback or ":" in name:
                raise SystemExit(f"--allow {text}: expected the host's name, or an address such as 127.0.0.1")
            inside[name] = name
        inside.setdefault(name, f"127.0.1.{len(inside) + 1}")
        found.append(Host(name, int(port), inside[name], str(folder / str(number))))
    return found


async def serve_outside(found: Sequence[Host]) -> None:
    """Relay connections from the sandbox, each to its own host."""
    for host in found:
        connect = _connecting(asyncio.open_connection, host.name, host.port)
        await asyncio.start_unix_server(_relay(connect), host.socket)


async def serve_inside(found: Sequence[Host]) -> None:
    """Accept connections to the hosts' addresses in the sandbox."""
    for host in found:
        connect = _connecting(asyncio.open_unix_connection, host.socket)
        await asyncio.start_server(_relay(connect), host.inside, host.port)


def _connecting(
    connect: Callable[..., Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]], *place: str | int
) -> _Connect:
    return lambda: connect(*place)


def _relay(connect: _Connect) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, here = await connect()
        except OSError:
            writer.close()  # the client sees a closed connection, and retries
            return
        try:
            await asyncio.gather(_copy(reader, here), _copy(there, writer))
        except asyncio.CancelledError:
            return  # the run has ended

    return taken


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # either side may have ended
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
            return
    writer.close()


def command_line(
    found: Sequence[Host], readable: Sequence[Path], directory: Path, folder: Path, gpu: bool
) -> list[str]:
    """Return the command that starts this script again in the sandbox, without the command that it is to run there."""
    program = shutil.which(sandbox.PROGRAM)
    if program is None:
        raise SystemExit(f"{sandbox.PROGRAM} is not installed: apt install bubblewrap")
    names = folder / "hosts"
    lines = [f"{host.inside} {host.name}\n" for host in found if host.inside != host.name]
    names.write_text("127.0.0.1 localhost\n" + "".join(lines))
    *words, end = sandbox.command(program, [*readable, folder], [directory])
    # Ports below 1024 need root; inside the sandbox you are root with only that capability.
    words += ["--uid", "0", "--gid", "0", "--cap-add", "CAP_NET_BIND_SERVICE", "--ro-bind", str(names), "/etc/hosts"]
    words += ["--dev-bind", "/dev", "/dev"] if gpu else []
    words += ["--unsetenv", sandbox.VARIABLE, end]  # jobs have sandboxes of their own
    described = json.dumps([[host.name, host.port, host.inside, host.socket] for host in found])
    return [*words, sys.executable, str(Path(__file__).resolve()), "--inside", described]


async def run_outside(arguments: argparse.Namespace) -> int:
    """Start the sandbox and relay for it; return the command's exit status."""
    with tempfile.TemporaryDirectory(prefix="sandbox-") as name:
        folder = Path(name)
        found = hosts(arguments.allow, folder)
        await serve_outside(found)
        words = command_line(found, arguments.read, arguments.directory.resolve(), folder, arguments.gpu)
        reading, writing = os.pipe()
        # In a session of its own, as the terminal sends Ctrl-C to a whole group, and the sandbox would end immediately.
        process = await asyncio.create_subprocess_exec(
            *words, "--", *arguments.command, stdin=reading, start_new_session=True
        )
        os.close(reading)
        for number in (signal.SIGINT, signal.SIGTERM):
            # Its input asks the inner command to stop; a signal would kill everything immediately.
            asyncio.get_running_loop().add_signal_handler(number, os.write, writing, _STOP)
        status = await process.wait()
        os.close(writing)
        return status


async def run_inside(described: str, command: Sequence[str]) -> int:
    """Serve the hosts' addresses and run the command; return its exit status."""
    await serve_inside([Host(*each) for each in json.loads(described)])
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL)
    asyncio.get_running_loop().add_reader(0, _stop, process)
    return await process.wait()


def _stop(process: asyncio.subprocess.Process) -> None:
    if not os.read(0, len(_STOP)):  # the process outside has ended
        asyncio.get_running_loop().remove_reader(0)
    with suppress(ProcessLookupError):
        process.terminate()


def main(words: Sequence[str] | None = None) -> int:
    """Read the command line; return the command's exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--allow", metavar="HOST:PORT", action="append", default=[], help="a host to reach; repeatable")
    parser.add_argument(
        "--read", metavar="PATH", type=Path, action="append", default=[], help="show it, if it is hidden"
    )
    parser.add_argument("--directory", metavar="DIR", type=Path, default=Path(), help="the folder that can be written")
    parser.add_argument("--gpu", action="store_true", help="show the machine's devices")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("command", nargs="+", help="what to run, after --")
    given = parser.parse_args(words)
    if given.inside is not None:
        return asyncio.run(run_inside(given.inside, given.command))
    return asyncio.run(run_outside(given))


if __name__ == "__main__":
    sys.exit(main())
