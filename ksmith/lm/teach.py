"""How MEND's network is trained: edits of a frozen model, each judged by what it brings about.

Mitchell et al., "Fast Model Editing at Scale", ICLR 2022, arXiv:2110.11309, algorithm 1. For some
updates at a time, each of a few facts with new objects, the loss is

    c_edit * -log p(new object | the fact in other words)  +  c_loc * KL(before || after)

after the update, the second on facts of other subjects. The factors of an update are those of the
model as it is, so that a way back leads through the edited model into the network, and no
further.

Shapes: n rows, t tokens, k updates, r tokens of one update, i inputs and o outputs of a matrix, m
tokens of answers.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from ksmith.graph.practice import Lesson
from ksmith.lm.adam import Adam
from ksmith.lm.descend import answer_words, answers, picked
from ksmith.lm.factors import Factors, factors
from ksmith.lm.hooks import Change, rewired
from ksmith.lm.hypernetwork import Hypernetwork, Matrix, Sums, lengths
from ksmith.lm.text import Batch
from ksmith.settings.mend import Mend

LOOKS = 20  # at how it goes, in a whole training


@dataclass(slots=True)
class Training:
    """How far a training is."""

    network: Hypernetwork
    adam: dict[str, Adam]
    best: Hypernetwork
    step: int = 0  # steps taken
    best_step: int = 0
    waited: int = 0  # looks since the best one
    losses: list[float] = field(default_factory=list[float])  # one a step
    looks: list[dict[str, float]] = field(default_factory=list[dict[str, float]])

    @classmethod
    def begun(cls, network: Hypernetwork) -> "Training":
        """Return the training of a network at its start."""
        adam = {name: Adam(tensor) for name, tensor in network.learnt.items()}
        return cls(network, adam, network)

    def done(self, hp: Mend) -> bool:
        """Return whether it is over."""
        return self.step >= hp.steps or self.waited >= hp.patience


# --- the loss ---------------------------------------------------------------------------------


def judged(
    network: Hypernetwork, model: nn.Module, tokenizer: PreTrainedTokenizerBase, lesson: Lesson
) -> tuple[Tensor, Tensor]:
    """Return a lesson's two losses, both in nats: of what is edited, of what is to be kept.

    The first is the mean over edits of -log p(whole answer), the second the mean over facts to
    keep of the mean over their object's tokens of KL(before || after).
    """
    asked = answers(tokenizer, lesson.asked, [request.new for request in lesson.asked])
    found, _ = factors(
        model, asked, torch.ones(len(asked.ids)), [m.name for m in network.matrices]
    )
    rows, kept = _rows(tokenizer, lesson)
    changes = {
        m.name: _edited(network, m, found[m.name], lesson.updates) for m in network.matrices
    }
    with torch.no_grad():
        before, _, _ = answer_words(model, picked(rows, kept.nonzero()[:, 0]))
    with rewired(model, len(rows.ids), changes):
        after, row, gold = answer_words(model, rows)
    keep = kept.to(row.device)[row]  # (m,)
    said = after.gather(1, gold[:, None])[:, 0]
    edit = -said[~keep].sum() / len(lesson.again)
    divergence = (before.exp() * (before - after[keep])).sum(-1)
    tokens = torch.bincount(row[keep], minlength=len(rows.ids))[row[keep]]
    return edit, (divergence / tokens).sum() / max(1, len(lesson.kept))


def _rows(tokenizer: PreTrainedTokenizerBase, lesson: Lesson) -> tuple[Batch, Tensor]:
    """Return what is asked after each update, update by update, and which rows (n,) are kept."""
    edits, locality = (len(part) // lesson.updates for part in (lesson.again, lesson.kept))
    facts = [
        fact
        for k in range(lesson.updates)
        for fact in (
            *lesson.again[k * edits : (k + 1) * edits],
            *lesson.kept[k * locality : (k + 1) * locality],
        )
    ]
    batch = answers(tokenizer, facts, [fact.object for fact in facts])
    return batch, torch.tensor([*[False] * edits, *[True] * locality] * lesson.updates)


def _edited(network: Hypernetwork, matrix: Matrix, found: Factors, updates: int) -> Change:
    """Return the matrix as it is after its update, for each update's rows their own."""
    u, d, felt = (part.reshape(updates, -1, *part.shape[2:]) for part in found.parts())
    inputs, slopes = network.pseudo(matrix, u, d)  # (k, r, i), (k, r, o)
    scaled = -network.step(matrix) * slopes * felt[..., None]

    def change(given: Tensor, output: Tensor) -> Tensor:
        x = given.reshape(updates, -1, matrix.inputs).to(inputs)
        # As two thin products: the change of the weight is never made.
        more = (x @ inputs.transpose(1, 2)) @ scaled
        return output + more.reshape(output.shape).to(output)

    return change


# --- the training -----------------------------------------------------------------------------


def counted(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    chosen: Sequence[Matrix],
    lessons: Sequence[Lesson],
) -> dict[str, Sums]:
    """Return sums over the factors of what lessons ask for, by matrix."""
    sums = {matrix.name: Sums() for matrix in chosen}
    for lesson in lessons:
        batch = answers(tokenizer, lesson.asked, [request.new for request in lesson.asked])
        found, _ = factors(model, batch, torch.ones(len(batch.ids)), list(sums))
        for name, own in found.items():
            sums[name].add(torch.cat([own.u, own.d], -1)[own.felt])
    return sums


def train(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    lesson: Callable[[int], Lesson],
    looks: Sequence[Lesson],
    training: Training,
    hp: Mend,
) -> Iterator[Training]:
    """Yield `training` after each of its steps, until it is over.

    To stop at any yield and to go on from a copy gives the same bits as not to stop. The network
    kept is the one that was best on `looks`, the one at the start among them.

    Args:
        model: the model, which stays as it is.
        tokenizer: its tokenizer.
        lesson: what to try at a step, by its number.
        looks: lessons of other subjects.
        training: where to begin.
        hp: the hyperparameters.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    often = math.ceil(hp.steps / LOOKS)
    if not training.looks:
        _look(model, tokenizer, looks, training, hp)
    while not training.done(hp):
        _step(model, tokenizer, lesson(training.step), training, hp)
        if training.step % often == 0 or training.step == hp.steps:
            _look(model, tokenizer, looks, training, hp)
        yield training


def _step(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    lesson: Lesson,
    training: Training,
    hp: Mend,
) -> None:
    """Take one step of Adam."""
    leaves = {
        name: tensor.detach().requires_grad_()
        for name, tensor in training.network.learnt.items()
    }
    edit, locality = judged(training.network.with_learnt(leaves), model, tokenizer, lesson)
    loss = hp.c_edit * edit + hp.c_loc * locality
    training.losses.append(float(loss.detach()))
    if not math.isfinite(training.losses[-1]):
        raise FloatingPointError(f"the loss is not finite at step {training.step}")
    found = torch.autograd.grad(loss, list(leaves.values()))
    units = lengths(training.network)
    learnt: dict[str, Tensor] = {}
    for (name, tensor), gradient in zip(leaves.items(), found, strict=True):
        rate = hp.lr_lr if name == "step" else hp.lr * units[name]
        learnt[name] = tensor.detach() - rate * training.adam[name].direction(gradient)
    training.network = training.network.with_learnt(learnt)
    training.step += 1


def _look(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    looks: Sequence[Lesson],
    training: Training,
    hp: Mend,
) -> None:
    """Note how good the network is on other subjects; keep it where it is the best so far."""
    edit = locality = 0.0
    for lesson in looks:
        with torch.no_grad():
            parts = judged(training.network, model, tokenizer, lesson)
        edit += float(parts[0]) / len(looks)
        locality += float(parts[1]) / len(looks)
    loss = hp.c_edit * edit + hp.c_loc * locality
    best = min((look["loss"] for look in training.looks), default=math.inf)
    training.looks.append(
        {"step": training.step, "edit": edit, "locality": locality, "loss": loss}
    )
    if loss < best:
        training.best, training.best_step, training.waited = training.network, training.step, 0
    else:
        training.waited += 1


def curve(training: Training) -> Mapping[str, list[float]]:
    """Return the looks by what is looked at."""
    names = training.looks[0] if training.looks else {}
    return {name: [look[name] for look in training.looks] for name in names}
