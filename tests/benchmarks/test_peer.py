"""The run beside a public implementation, as far as it goes without one."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ksmith.records import UserError
from tests.benchmarks import peer, public

TRACER = """
class TraceDict(dict):
    def __init__(self, *, edit_output, **more):
        super().__init__(**more)
        self.edit = edit_output
"""
MODULES = {
    "util/nethook.py": TRACER,
    "models/rome/compute_u.py": "layer_stats = None\n",
    "models/rome/rome_main.py": "CONTEXT_TEMPLATES_CACHE = execute_rome = ROMEHyperParams = None\n",
    "models/memit/compute_z.py": "from ...util import nethook\n",
    "models/memit/memit_main.py": (
        "CONTEXT_TEMPLATES_CACHE = layer_stats = MEMITHyperParams = None\n"
        "def execute_memit(hparams): return f'cuda:{hparams.device}'\n"
    ),
    "models/ft/ft_main.py": (
        "from datasets import load_dataset\nexecute_ft = FTHyperParams = None\n"
        'def place(hparams): return f"cuda:{hparams.device}", f"cuda:{hparams.other}"\n'
    ),
    "__init__.py": "raise ImportError('of fifty libraries')\n",
    "models/__init__.py": "raise ImportError('of fifty libraries')\n",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a folder in the package's layout, with modules that hold next to nothing."""
    for name, text in MODULES.items():
        path = tmp_path / public.NAME / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / f"{public.NAME}-0.0.9.dist-info").mkdir()
    return tmp_path


def test_without_the_package_it_ends_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert peer.main(["--peer", str(tmp_path), "--out", str(tmp_path / "peer.json")]) == 2
    told = capsys.readouterr()
    assert not told.out
    assert told.err.count("\n") == 1
    assert str(tmp_path) in told.err
    assert "--peer" in told.err
    assert not (tmp_path / "peer.json").exists()


def test_the_package_is_found_by_its_folder_or_the_one_above(package: Path) -> None:
    folder = package / public.NAME
    assert public.find(package) == public.find(folder) == folder
    assert public.version(folder) == "0.0.9"
    with pytest.raises(UserError, match=public.NAME):
        public.find(folder / "models")


def test_its_modules_are_read_for_a_cpu_and_nothing_is_left(package: Path) -> None:
    before = set(sys.modules)
    asked = SimpleNamespace(device="cpu", other=1)
    moment = torch.eye(2, dtype=torch.float64)
    with public.imported(package / public.NAME):
        editors = public.opened(package / public.NAME, ["A text ."], {"mlp": moment})
        assert editors.memit(asked) == "cpu"
        ft = importlib.import_module(f"{public.NAME}.models.ft.ft_main")
        assert ft.place(asked) == ("cpu", "cuda:1")
        memit = importlib.import_module(f"{public.NAME}.models.memit.memit_main")
        assert memit.CONTEXT_TEMPLATES_CACHE == [["{}"], ["A text . {}"]]
        assert memit.layer_stats(None, None, "mlp").mom2.moment() is moment
    assert not [name for name in set(sys.modules) - before if name.startswith(public.NAME)]
    assert not list(package.rglob("*.pyc"))


def test_it_is_given_what_a_block_gives_as_a_tuple(package: Path) -> None:
    with public.imported(package / public.NAME):
        public.opened(package / public.NAME, [], {})
        z = importlib.import_module(f"{public.NAME}.models.memit.compute_z")
        output = torch.zeros(2)

        def moved(given: tuple[torch.Tensor], layer: str) -> tuple[torch.Tensor]:
            return (given[0] + len(layer),)

        traced = z.nethook.TraceDict(
            edit_output=moved,
            block=SimpleNamespace(output=output),
        )
    assert traced["block"].output == (output,)
    assert traced.edit(torch.ones(2), "block").tolist() == [6.0, 6.0]


def test_distance_is_that_of_all_matrices_together() -> None:
    there = {"a": torch.tensor([[3.0]]), "b": torch.tensor([[4.0]])}
    assert peer.apart(there, there) == 0
    assert peer.apart({**there, "b": torch.tensor([[4.5]])}, there) == pytest.approx(0.1)
