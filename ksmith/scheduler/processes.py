"""Who is who: a process is named by host, boot, pid and start time; no other has all four."""

import os
import secrets
import signal
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

PROC = Path("/proc/self/stat").exists()


@dataclass(frozen=True, slots=True)
class Owner:
    """A scheduler. `token` tells two apart that one process runs one after the other."""

    host: str
    boot: str
    pid: int
    started: int
    token: str

    def __str__(self) -> str:
        return f"{self.host}/{self.boot}/{self.pid}/{self.started}/{self.token}"

    @classmethod
    def me(cls) -> "Owner":
        """Return a new owner that is this process."""
        pid = os.getpid()
        return cls(host(), boot(), pid, started(pid) or 0, secrets.token_hex(4))

    @classmethod
    def read(cls, text: str) -> "Owner | None":
        """Return the owner that wrote `text`, or None where it is not of that form."""
        try:
            name, booted, pid, begun, token = text.split("/")
            return cls(name, booted, int(pid), int(begun), token)
        except ValueError:
            return None

    @property
    def dead(self) -> bool:
        """Is it certain that the process is no more? Of another host or boot, nothing is."""
        return self.host == host() and self.boot == boot() and not alive(self.pid, self.started)


@cache
def host() -> str:
    """Return the name of this host."""
    return socket.gethostname().replace("/", "_")


@cache
def boot() -> str:
    """Return what changes when this host starts anew, and differs between its containers.

    A pid means something only inside its own namespace of pids.
    """
    try:
        booted = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{booted}.{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return str(round(psutil.boot_time()))


def started(pid: int) -> int | None:
    """Return when a process started, in units of its host; None for one that has ended.

    On Linux in ticks since the boot: what psutil makes of them moves when the clock is set.
    """
    if not PROC:
        try:
            process = psutil.Process(pid)
            ended = process.status() == psutil.STATUS_ZOMBIE
            return None if ended else round(process.create_time() * 100)
        except psutil.NoSuchProcess:
            return None
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # from the third on: the second may hold spaces
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def alive(pid: int, since: int) -> bool:
    """Return whether the process that started then still runs; True where that is hidden."""
    found = started(pid)
    if found is not None:
        return found == since
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False  # there, but ended: nobody has collected it yet


def kill_group(pid: int) -> None:
    """End, at once, the process group that process `pid` leads."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
