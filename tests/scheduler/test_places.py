"""Where work runs, and which process is which."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ksmith.records import UserError
from ksmith.scheduler.devices import Device, devices, visible
from ksmith.scheduler.pool import Slot, module_command
from ksmith.scheduler.processes import Owner, alive, boot, host, started

TWO = """GPU 0: NVIDIA H200 (UUID: GPU-aaaa)
GPU 1: NVIDIA H200 (UUID: GPU-bbbb)
"""
CUT = """GPU 0: NVIDIA H200 (UUID: GPU-aaaa)
  MIG 1g.18gb     Device  0: (UUID: MIG-1111)
  MIG 1g.18gb     Device  1: (UUID: MIG-2222)
GPU 1: NVIDIA H200 (UUID: GPU-bbbb)
"""


@pytest.mark.parametrize(
    ("listing", "chosen", "expected"),
    [
        ("", None, []),
        ("No devices found.", None, []),
        (TWO, None, ["GPU-aaaa", "GPU-bbbb"]),
        (TWO, "1", ["GPU-bbbb"]),
        (TWO, "1,0", ["GPU-bbbb", "GPU-aaaa"]),
        (TWO, "GPU-b", ["GPU-bbbb"]),
        (TWO, "", []),
        (TWO, "-1", []),
        (TWO, "7", []),
        (CUT, None, ["MIG-1111", "MIG-2222", "GPU-bbbb"]),
        (CUT, "0", ["MIG-1111", "MIG-2222"]),
        (CUT, "MIG-2222", ["MIG-2222"]),
    ],
)
def test_visible_gpus(listing: str, chosen: str | None, expected: list[str]) -> None:
    assert visible(listing, chosen) == expected


def test_no_gpu_means_as_many_processors_as_asked_for() -> None:
    none = {"CUDA_VISIBLE_DEVICES": ""}
    assert devices(3, environment=none) == [Device("cpu")] * 3
    assert len(devices(None, environment=none)) >= 1
    assert devices(3, "cpu") == [Device("cpu")] * 3
    with pytest.raises(UserError, match="no GPU for --device cuda"):
        devices(3, "cuda", none)


@pytest.mark.parametrize(("usable", "name"), [("True", "cuda"), ("False", "cpu")])
def test_a_gpu_counts_if_torch_can_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usable: str, name: str
) -> None:
    """Of the two programs that are asked, both are made up: nvidia-smi, and a torch."""
    smi = tmp_path / "nvidia-smi"
    smi.write_text(f"#!/bin/sh\ncat <<'END'\n{TWO}END\n")
    smi.chmod(0o755)
    torch = "class cuda:\n    is_available = staticmethod(lambda: {})\n"
    (tmp_path / "torch.py").write_text(torch.format(usable))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    found = devices(2, environment=environment)
    assert [device.name for device in found] == [name] * 2
    if name == "cpu":
        with pytest.raises(UserError, match="this torch cannot use it"):
            devices(2, "cuda", environment)


def test_workers_count_gpus_as_nvidia_smi_does(tmp_path: Path) -> None:
    show = (
        "import os; print(os.environ['CUDA_DEVICE_ORDER'], os.environ['CUDA_VISIBLE_DEVICES'])"
    )
    slot = Slot("worker 1", Device("cuda", "GPU-a"), [sys.executable, "-c", show])
    slot.start(tmp_path / "log")
    assert slot.process and slot.process.stdout
    slot.process.wait()
    assert slot.process.stdout.read() == b"PCI_BUS_ID GPU-a\n"
    slot.end()


def test_code_in_the_users_folder_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert module_command("random") == [sys.executable, "-P", "-m", "random"]
    monkeypatch.syspath_prepend(str(tmp_path))  # as with python -m: ksmith may be found here
    assert module_command("random") == [sys.executable, "-m", "random"]


def test_this_process_is_alive_and_an_ended_one_is_not() -> None:
    me = started(os.getpid())
    assert me is not None
    assert alive(os.getpid(), me)
    assert not alive(os.getpid(), me - 1)  # an earlier process of the same pid
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    since = started(child.pid)
    assert since is not None and alive(child.pid, since)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not alive(child.pid, since)  # it has ended, though nobody has collected it
    child.wait()
    assert not alive(child.pid, since)


def test_owner_is_read_back() -> None:
    me = Owner.me()
    assert Owner.read(str(me)) == me
    assert not me.dead
    assert str(me) != str(Owner.me())  # one process can run twice
    assert Owner.read("reindex") is None


@pytest.mark.parametrize(
    ("owner", "dead"),
    [
        (Owner(host(), boot(), os.getpid(), 0, "x"), True),  # the pid is another's by now
        (Owner("elsewhere", boot(), os.getpid(), 0, "x"), False),  # who can know
        (Owner(host(), "before", os.getpid(), 0, "x"), False),
    ],
)
def test_only_the_certain_are_dead(owner: Owner, dead: bool) -> None:
    assert owner.dead == dead
