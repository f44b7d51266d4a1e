"""Causal tracing: which hidden state, put back into a corrupted run, brings the answer back?

Meng et al., "Locating and Editing Factual Associations in GPT", NeurIPS 2022, arXiv:2202.05262.

Noise of three standard deviations on the embeddings of the subject's tokens makes the model
lose the object. One state of the clean run is put back: the output of one block, of its MLP or
of its attention, at one token. The indirect effect is what that adds to the probability.
"""

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ksmith.lm.sites import Sites, as_rows, sites
from ksmith.lm.text import Batch, encode, subject_span
from ksmith.records import Statement, UserError, derived_seed

Site = Literal["block", "mlp", "attn"]
Position = Literal["subject_first", "subject_last", "last"]
SITES: tuple[Site, ...] = get_args(Site)
POSITIONS: tuple[Position, ...] = get_args(Position)

SIGMAS = 3.0  # standard deviation of the noise, in those of the embedding matrix
ROWS = 192  # in a batch; a row is a fact with a draw of noise
FLAT = 0.05  # least effect of an MLP at the subject's last token that edits can rest on
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Mean indirect effect of one state on the object's probability, with its 95 % interval."""

    site: Site
    layer: int
    position: Position
    value: float
    low: float
    high: float
    n: int  # facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """All effects, over the facts that the model knows."""

    effects: tuple[Effect, ...]
    clean: float  # mean probability of the object, untouched
    corrupted: float  # ... with noise on the subject
    n: int  # facts traced: those whose object is the most probable answer
    asked: int  # facts given
    noise: float  # standard deviation
    draws: int  # of noise, for each fact

    @property
    def peak(self) -> Effect:
        """The MLP with the largest effect at the subject's last token."""
        here = (e for e in self.effects if e.site == "mlp" and e.position == "subject_last")
        return max(here, key=lambda effect: effect.value)

    @property
    def flat(self) -> bool:
        """Whether no MLP at the subject's last token matters much."""
        return self.peak.value < FLAT

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, the peak among them."""
        return {**asdict(self), "peak": asdict(self.peak), "flat": self.flat}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Trace":
        """Return the trace of `to_dict`."""
        names = ("clean", "corrupted", "n", "asked", "noise", "draws")
        effects = tuple(Effect(**effect) for effect in values["effects"])
        return cls(effects=effects, **{name: values[name] for name in names})

    def warning(self) -> str | None:
        """Return what is to be said about a flat trace, or None."""
        if not self.flat:
            return None
        peak = self.peak
        return (
            f"the causal trace is flat: no MLP at the subject's last token adds {FLAT} to "
            f"p(object) (layer {peak.layer} adds most, {peak.value:.3f} "
            f"[{peak.low:.3f}, {peak.high:.3f}] over {peak.n} facts), so methods that edit "
            "where the trace peaks have no place to write"
        )


def trace(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    facts: Sequence[Statement],
    seed: int,
    *,
    draws: int = 3,
    progress: Progress | None = None,
) -> Trace:
    """Return the indirect effects of every block, MLP and attention at three tokens.

    Args:
        model: any causal language model of the sites table; left as it was.
        tokenizer: the model's own.
        facts: statements that the model may know; those it does not know are left out.
        seed: of the noise.
        draws: of noise, for each fact.
        progress: called with batches done, batches in all, and words.

    Raises:
        UserError: the model knows fewer than two of the facts.
    """
    subject = _Subject(model, tokenizer, sites(model), draws)
    known = _known(model, tokenizer, facts)
    if len(known) < 2:
        raise UserError(f"the model knows {len(known)} of {len(facts)} facts: nothing to trace")
    step = max(1, ROWS // draws)
    chunks = [known[i : i + step] for i in range(0, len(known), step)]
    results: list[_Chunk] = []
    for i, chunk in enumerate(chunks):
        noise = torch.Generator().manual_seed(derived_seed(seed, "trace", i))
        results.append(_chunk(subject, chunk, noise))
        if progress:
            progress(i + 1, len(chunks), "tracing")
    return Trace(
        effects=tuple(_effects(results)),
        clean=torch.cat([result.clean for result in results]).mean().item(),
        corrupted=torch.cat([result.corrupted for result in results]).mean().item(),
        n=len(known),
        asked=len(facts),
        noise=subject.scale,
        draws=draws,
    )


@dataclass(frozen=True, slots=True)
class _Subject:
    """Who is examined, and how."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    where: Sites
    draws: int

    @property
    def table(self) -> Tensor:
        """The embeddings, (vocab, width)."""
        table = self.model.get_submodule(self.where.embed).weight
        assert isinstance(table, Tensor)
        return table.detach()

    @property
    def scale(self) -> float:
        """Standard deviation of the noise."""
        return SIGMAS * self.table.float().std().item()

    def name(self, site: Site, layer: int) -> str:
        """Return the module whose output is this site's state."""
        where = self.where
        return {"block": where.block, "mlp": where.mlp, "attn": where.attn}[site](layer)


@dataclass(frozen=True, slots=True)
class _Chunk:
    clean: Tensor  # (n,) probability of the object
    corrupted: Tensor  # (n,) mean over draws
    restored: dict[tuple[Site, int, Position], Tensor]  # (n,) mean over draws


def _chunk(subject: _Subject, facts: Sequence[Statement], generator: torch.Generator) -> _Chunk:
    """Return what a batch of facts comes to: clean, corrupted, with each state restored."""
    model, draws = subject.model, subject.draws
    batch = _encoded(subject.tokenizer, facts).to(model.device)
    spots = _spots(subject.tokenizer, facts, batch)
    layers = range(subject.where.n_layers)
    places: list[tuple[Site, int]] = [(site, i) for site in SITES for i in layers]
    names = {place: subject.name(*place) for place in places}
    with _recorded(model, list(names.values()), len(facts)) as states:
        clean = _probability(model, batch)
    many = _repeated(batch, draws)
    noise = _noise(subject, many, spots, generator)
    row = torch.arange(len(many.ids), device=model.device)

    def restored(name: str, position: Position) -> Tensor:
        spot = spots[position].repeat(draws)
        kept = states[name].repeat(draws, 1, 1)[row, spot]  # (draws * n, width)

        def restore(out: Tensor) -> Tensor:
            out = out.reshape(len(row), -1, out.shape[-1]).clone()
            out[row, spot] = kept
            return out

        with _patched(model, name, restore):
            return _probability(model, many).view(draws, -1).mean(0)

    with _patched(model, subject.where.embed, lambda out: out + noise.to(out)):
        found: dict[tuple[Site, int, Position], Tensor] = {}
        for (site, layer), name in names.items():
            for position in POSITIONS:
                found[site, layer, position] = restored(name, position)
        return _Chunk(clean, _probability(model, many).view(draws, -1).mean(0), found)


def _effects(chunks: Sequence[_Chunk]) -> Iterator[Effect]:
    corrupted = torch.cat([chunk.corrupted for chunk in chunks])
    for site, layer, position in chunks[0].restored:
        restored = torch.cat([chunk.restored[site, layer, position] for chunk in chunks])
        gain = (restored - corrupted).double()
        value = gain.mean().item()
        half = 1.96 * gain.std().item() / math.sqrt(len(gain))
        yield Effect(
            site=site,
            layer=layer,
            position=position,
            value=value,
            low=value - half,
            high=value + half,
            n=len(gain),
        )


# --- rows -------------------------------------------------------------------------------------


def _encoded(tokenizer: PreTrainedTokenizerBase, facts: Sequence[Statement]) -> Batch:
    return encode(tokenizer, [fact.prompt for fact in facts], [fact.object for fact in facts])


def _known(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, facts: Sequence[Statement]
) -> list[Statement]:
    known: list[Statement] = []
    for start in range(0, len(facts), 64):
        part = facts[start : start + 64]
        batch = _encoded(tokenizer, part).to(model.device)
        with torch.no_grad():
            best = _logits(model, batch).argmax(-1)  # (n, t - 1)
        right = ((best == batch.ids[:, 1:]) | ~batch.answer[:, 1:]).all(1)
        known += [fact for fact, ok in zip(part, right.tolist(), strict=True) if ok]
    return known


def _spots(
    tokenizer: PreTrainedTokenizerBase, facts: Sequence[Statement], batch: Batch
) -> dict[Position, Tensor]:
    """Return for each kind of position its index in every row, (n,) int64."""
    spans = [subject_span(tokenizer, fact.template, fact.subject) for fact in facts]
    first, last = torch.tensor(spans, device=batch.ids.device).unbind(1)
    end = batch.answer.int().argmax(1) - 1  # the token before the answer
    return {"subject_first": first, "subject_last": last, "last": end}


def _repeated(batch: Batch, draws: int) -> Batch:
    return Batch(*(part.repeat(draws, 1) for part in (batch.ids, batch.mask, batch.answer)))


def _noise(
    subject: _Subject,
    batch: Batch,
    spots: Mapping[Position, Tensor],
    generator: torch.Generator,
) -> Tensor:
    """Return the noise on the subject's tokens, (draws * n, t, width), zero elsewhere."""
    shape = (*batch.ids.shape, subject.table.shape[1])
    noise = torch.randn(shape, generator=generator) * subject.scale
    at = torch.arange(shape[1], device=batch.ids.device)
    first = spots["subject_first"].repeat(subject.draws)[:, None]
    last = spots["subject_last"].repeat(subject.draws)[:, None]
    return noise.to(batch.ids.device) * ((at >= first) & (at <= last))[..., None]


def _logits(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Return the logits that predict each token but the first, (n, t - 1, vocab) float32."""
    out = model(input_ids=batch.ids, attention_mask=batch.mask.long(), use_cache=False)
    return out.logits[:, :-1].float()


@torch.no_grad()
def _probability(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Return the probability of each row's answer, (n,)."""
    logp = _logits(model, batch).log_softmax(-1)  # (n, t - 1, vocab)
    token = logp.gather(-1, batch.ids[:, 1:, None])[..., 0]
    return (token * batch.answer[:, 1:]).sum(1).exp()


# --- hooks ------------------------------------------------------------------------------------


@contextmanager
def _recorded(
    model: PreTrainedModel, names: Sequence[str], n: int
) -> Generator[dict[str, Tensor]]:
    states: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[Any, Any, Any], None]:
        def hook(_module: Any, _given: Any, out: Any) -> None:
            states[name] = as_rows(out, n).detach()  # (n, t, width)

        return hook

    handles = [model.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        yield states
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _patched(
    model: PreTrainedModel, name: str, change: Callable[[Tensor], Tensor]
) -> Generator[None]:
    def hook(_module: Any, _given: Any, out: Any) -> Any:
        first = out[0] if isinstance(out, tuple) else out
        new = change(first).reshape(first.shape)
        return (new, *out[1:]) if isinstance(out, tuple) else new

    handle = model.get_submodule(name).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


# --- figure -----------------------------------------------------------------------------------


def figure(result: Trace, path: Path) -> None:
    """Draw the effects as one panel a site, layers across and positions down, into a PNG."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    layers = 1 + max(effect.layer for effect in result.effects)
    values = {(e.site, e.position, e.layer): e.value for e in result.effects}
    top = max(0.01, *values.values())
    shades = ScalarMappable(Normalize(0, top), "Purples")
    canvas = Figure(figsize=(9, 2.8), layout="constrained")
    panels = canvas.subplots(1, len(SITES), sharey=True)
    for panel, site in zip(panels, SITES, strict=True):
        grid = [[values[site, position, i] for i in range(layers)] for position in POSITIONS]
        panel.imshow(grid, norm=shades.norm, cmap=shades.cmap, aspect="auto")
        panel.set(title=TITLES[site], xlabel="layer")
        panel.set_yticks(range(len(POSITIONS)), [POSITION_NAMES[name] for name in POSITIONS])
        if layers <= 12:
            panel.set_xticks(range(layers))
            _write_numbers(panel, grid, top)
    canvas.colorbar(shades, ax=panels, label="mean indirect effect")
    canvas.suptitle(
        f"p(object) {result.clean:.2f}, {result.corrupted:.2f} with noise; n = {result.n}"
    )
    canvas.savefig(path, dpi=110)


TITLES: dict[Site, str] = {
    "block": "block output",
    "mlp": "MLP output",
    "attn": "attention output",
}
POSITION_NAMES: dict[Position, str] = {
    "subject_first": "first subject token",
    "subject_last": "last subject token",
    "last": "last token",
}


def _write_numbers(panel: Any, grid: Sequence[Sequence[float]], top: float) -> None:
    for y, line in enumerate(grid):
        for x, value in enumerate(line):
            colour = "white" if value > top / 2 else "black"
            panel.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour)
