"""Where work runs, and which process is which."""

import os
import subprocess
import sys

import pytest

from ksmith.scheduler.devices import Device, devices, visible
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
    assert devices(3, {"CUDA_VISIBLE_DEVICES": ""}) == [Device("cpu")] * 3
    assert len(devices(None, {"CUDA_VISIBLE_DEVICES": ""})) >= 1


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
