"""EasyEdit as it is on PyPI, opened beside ksmith: https://pypi.org/project/easyeditor, MIT.

Wang et al., "EasyEdit: An Easy-to-use Knowledge Editing Framework for Large Language Models",
arXiv:2308.07269. Nothing of it is kept here, and nothing on the disk is changed. In memory:

- Its folders are packages without their own start-up, which imports dozens of libraries.
- Where its text says "cuda:" with a device's number, it is read with the device alone: there is
  no other way to run it on a CPU.
- The texts before a prompt and the second moments are handed to it, where it would sample the
  ones and download Wikipedia for the others; the matrix is the one that ksmith inverts, its ridge
  included.
- What a block gives is a tuple in the transformers that it was written for, and a tensor now: it
  is given a tuple.
"""

import contextlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, final

from torch import Tensor

from ksmith.records import UserError

NAME = "easyeditor"
CUDA = re.compile(rb"""f(["'])cuda:\{(hparams\.device)\}\1""")


def find(given: Path | None) -> Path:
    """Return the package's folder: `given`, or in it, or where Python finds it.

    Raises:
        UserError: it is not there.
    """
    if given is None:
        spec = importlib.util.find_spec(NAME)  # imports nothing: it has no parent
        places = spec.submodule_search_locations if spec else None
        found = [Path(place) for place in places or ()]
    else:
        found = [given / NAME, given]
    for folder in found:
        if (folder / "models" / "memit" / "memit_main.py").is_file():
            return folder
    where = f"in {given}" if given is not None else "among installed packages"
    raise UserError(
        f"no package {NAME!r} {where}: unpack its wheel (pip download --no-deps {NAME}) and name "
        "the folder with --peer"
    )


def version(folder: Path) -> str:
    """Return the version in the metadata beside the package, or "unknown"."""
    for metadata in folder.parent.glob(f"{NAME}-*.dist-info"):
        return metadata.name.removeprefix(f"{NAME}-").removesuffix(".dist-info")
    return "unknown"


@final
class _Read(SourceFileLoader):
    """Reads a module's text for a CPU, and keeps no compiled one."""

    def get_data(self, path: str) -> bytes:
        return CUDA.sub(rb"\2", super().get_data(path))

    def path_stats(self, path: str) -> Mapping[str, Any]:
        raise OSError  # what is compiled is not what lies on the disk: it is not cached


@final
class _Finder(MetaPathFinder):
    """Finds the modules of the package, to be read so."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{NAME}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin and spec.origin.endswith(".py"):
            spec.loader = _Read(fullname, spec.origin)
        return spec


@contextlib.contextmanager
def imported(folder: Path) -> Generator[None]:
    """Yield while modules of the package can be imported; then forget them all."""
    finder = _Finder()
    before = set(sys.modules)
    for name, place in ((NAME, folder), (f"{NAME}.models", folder / "models")):
        empty = ModuleType(name)
        empty.__path__ = [str(place)]
        sys.modules[name] = empty
    if importlib.util.find_spec("datasets") is None:  # named, and then replaced
        nothing = ModuleType("datasets")
        vars(nothing)["load_dataset"] = None
        sys.modules["datasets"] = nothing
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [n for n in sys.modules if n not in before]:
            if name.partition(".")[0] in (NAME, "datasets"):
                del sys.modules[name]


@contextlib.contextmanager
def silent() -> Generator[None]:
    """Yield with what is printed going nowhere: it prints at every step."""
    nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - the next line closes it
    with nowhere, contextlib.redirect_stdout(nowhere):
        yield


@dataclass(frozen=True)
class Editors:
    """The package's editors and the classes of their hyperparameters."""

    rome: Any
    rome_settings: Any
    memit: Any
    memit_settings: Any
    ft: Any
    ft_settings: Any


def opened(folder: Path, contexts: Sequence[str], moments: Mapping[str, Tensor]) -> Editors:
    """Return the editors, which put these texts before prompts and have these moments.

    `moments` are by module, (d_ff, d_ff) float64. Call within `imported`.
    """

    def module(name: str) -> Any:
        return importlib.import_module(f"{NAME}.models.{name}")

    rome, memit, ft = module("rome.rome_main"), module("memit.memit_main"), module("ft.ft_main")
    before = [f"{text} {{}}" for text in contexts]
    rome.CONTEXT_TEMPLATES_CACHE = ["{}", *before]
    memit.CONTEXT_TEMPLATES_CACHE = [["{}"], before]

    def statistics(_model: Any, _tokenizer: Any, layer: str, *_: Any, **_more: Any) -> Any:
        return SimpleNamespace(mom2=SimpleNamespace(moment=lambda: moments[layer]))

    module("rome.compute_u").layer_stats = statistics
    memit.layer_stats = statistics
    z = module("memit.compute_z")
    z.nethook = SimpleNamespace(**{**vars(z.nethook), "TraceDict": _tupled(z.nethook)})
    return Editors(
        rome.execute_rome,
        rome.ROMEHyperParams,
        memit.execute_memit,
        memit.MEMITHyperParams,
        ft.execute_ft,
        ft.FTHyperParams,
    )


def _tupled(nethook: Any) -> Any:
    """Return the package's tracer of several modules, for blocks that give no tuple."""

    class Tupled(nethook.TraceDict):
        def __init__(self, *, edit_output: Any, **more: Any) -> None:
            def edit(output: Any, layer: str) -> Any:
                return edit_output((output,), layer)[0]

            super().__init__(edit_output=edit, **more)

        def __getitem__(self, name: str) -> Any:
            return SimpleNamespace(output=(super().__getitem__(name).output,))

    return Tupled
