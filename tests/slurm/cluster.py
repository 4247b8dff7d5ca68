"""A real SLURM cluster of one node, on loopback and in one folder, with two GPUs that exist only for SLURM."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
from pathlib import Path
from types import TracebackType

from tests.docker_engine import free_port
from tests.faults.steps import until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
# Debian's daemons are not on every user's path.
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
# The node claims more resources than this machine has; two partitions, as at sites.
SETTINGS = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_min_interval=10000
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=32000 Gres=gpu:2
PartitionName=cpu Nodes={host} Default=YES
PartitionName=gpu Nodes={host}
"""


class Cluster:
    """Controller, node and munge as child processes; `environ` has the variables that SLURM's commands need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": PATH}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Cluster":
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        host = socket.gethostname().partition(".")[0]
        user = pwd.getpwuid(os.getuid()).pw_name
        settings = SETTINGS.format(folder=self.folder, host=host, user=user, ports=(free_port(), free_port()))
        (self.folder / "slurm.conf").write_text(settings)
        (self.folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
        try:
            munge = self.folder / "munge"
            files = [f"--{name}-file={munge}.{name}" for name in ("key", "pid", "log", "seed")]
            # Forced, since only this user may enter the folder of its socket.
            self._start("munged", "--foreground", "--force", f"--socket={munge}.socket", *files)
            until(lambda: munge.with_suffix(".socket").exists(), 10)
            self._start("slurmctld", "-D")
            self._start("slurmd", "-D")
            until(lambda: "idle" in self.output_of("sinfo", "--noheader", "--format=%T", check=False), 30)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.output_of("scancel", "--user", str(os.getuid()), check=False)
        try:
            until(lambda: not self.jobs(), 30)
        finally:
            self._stop()

    def output_of(self, *command: str, check: bool = True) -> str:
        """Return the output of one of SLURM's commands."""
        environ = {**os.environ, **self.environ}
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=check).stdout

    def jobs(self, *options: str) -> list[str]:
        """Return the states of the jobs that SLURM has, without ended ones."""
        return self.output_of("squeue", "--noheader", "--format=%T", *options).split()

    def every_job(self) -> list[str]:
        """Return all information of SLURM about each job, with its batch script."""
        found = []
        for line in self.output_of("scontrol", "--details", "--oneliner", "show", "job").splitlines():
            number = line.split()[0].removeprefix("JobId=")
            found.append(line + "\n" + self.output_of("scontrol", "write", "batch_script", number, "-"))
        return found

    def _start(self, program: str, *arguments: str) -> None:
        path = shutil.which(program, path=PATH) or program
        with (self.folder / f"{program}.out").open("wb") as out:
            environ = {**os.environ, **self.environ}
            command = [path, *arguments]
            self._daemons.append(subprocess.Popen(command, env=environ, stdout=out, stderr=out, cwd=self.folder))

    def _stop(self) -> None:
        while self._daemons:
            daemon = self._daemons.pop()
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
