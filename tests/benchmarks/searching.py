"""Editors that search for a value, as the benchmark runs them, and the plain loop of the search."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from ksmith.edit import EDITORS
from ksmith.lm.assets import Assets
from ksmith.lm.rows import Rows, at_subject, prefixes, rows
from ksmith.lm.sites import sites
from ksmith.lm.suffix import Place
from ksmith.lm.targets import search
from ksmith.records import Request
from ksmith.settings import method as settings_of
from tests.benchmarks import world
from tests.benchmarks.counted import counted
from tests.benchmarks.measured import FEW, LONG, Checked
from tests.benchmarks.plain import plain
from tests.benchmarks.plain import rows as plain_rows


@dataclass(frozen=True)
class Case:
    """One model and one method's way of asking."""

    shape: str
    method: str
    layers: tuple[int, ...]  # the last one is where the vector is added
    contexts: int = 0
    words: int = 10  # of ten of the contexts; the others have five
    whole: bool = True  # also time the editor, and not the search alone
    most: int = 1000  # requests


ONE = ("rome", "r_rome")  # write one fact a draw


class Searching:
    """A method that searches for a value."""

    def __init__(self, case: Case, most: int, steps: int) -> None:
        self.case = case
        self.model = world.model(case.shape)
        self.s = sites(self.model)
        self.assets: Assets = world.assets(self.model, list(case.layers), case.words)
        self.requests: list[Request] = world.requests(most)
        self.before = prefixes(self.assets.contexts, case.contexts)
        where = {"layer": case.layers[0]} if case.method in ONE else {"layers": [*case.layers]}
        more = {"nullspace": 1e3} if case.method == "alphaedit" else {}
        self.hp: Any = settings_of(
            case.method,
            {"steps": steps, "contexts": case.contexts, "stop_loss": 0.0, **where, **more},
        )
        self.size = self._size(min(most, FEW))

    def parts(self, n: int) -> dict[str, Callable[[], object]]:
        """See `Job`: of many edits the search alone would say little more."""
        found: dict[str, Callable[[], object]] = {}
        if n < LONG or not self.case.whole:
            found["search"] = partial(self.search, n)
        if self.case.whole:
            found["edit"] = partial(self.edit, n)
        return found

    def search(self, n: int) -> Tensor:
        """Return what is found for the first `n` requests, (n, d)."""
        place = Place(self.s.mlp_out(self.case.layers[-1]), self.s.head, self._size(n))
        return search(self.model, self._rows(n), place, self.hp).delta

    def _size(self, n: int) -> Tensor:
        """Return the norms of the values of the first `n` requests, (n,)."""
        site, asked = self.s.mlp_out(self.case.layers[-1]), self._rows(n)
        return at_subject(self.model, asked.where(asked.bare), [site])[site].norm(dim=1)

    def _rows(self, n: int) -> Rows:
        assets = self.assets
        return rows(assets.tokenizer, self.requests[:n], self.before, assets.kl_template)

    def edit(self, n: int) -> None:
        """Edit: `n` draws of one request, or one draw of all."""
        mine = self.requests[:n]
        draws = [[one] for one in mine] if self.case.method in ONE else [mine]
        EDITORS[self.case.method](self.model, draws, self.hp, self.assets)

    def plain(self, i: int) -> Tensor:
        """Return what the plain loop finds for request `i`, (d,)."""
        assets, size = self.assets, self.size[i]
        asked = plain_rows(assets.tokenizer, self.requests[i], self.before, assets.kl_template)
        return plain(self.model, asked, self.case.layers[-1], self.hp, size).delta

    def check(self, n: int) -> Checked:
        """See `Job`."""
        few = min(n, FEW)
        delta, made = counted(partial(self.search, n))
        each = [counted(partial(self.plain, i)) for i in range(few)]
        return Checked(
            max(float((delta[i] - one).norm() / one.norm()) for i, (one, _) in enumerate(each)),
            made / n,
            sum(plain_made for _, plain_made in each) / few,
        )
