"""The words of a change's page: every fact that changed, effects indented below their causes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ksmith.graph.because import Step
from ksmith.graph.colours import CHANGED, OPEN
from ksmith.graph.knowledge import Changed, Several
from ksmith.records import fact_name

LISTED = 4  # answers of a fact that has several


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the model wrote, asked about one fact; None where nobody asked."""

    before: str | None
    after: str | None
    aliases: tuple[str, ...] = ()  # of what is true now: as good as its name
    aliases_before: tuple[str, ...] = ()  # ... of what was true


def step_name(step: Step) -> str:
    """Return the name of the fact that a step changes."""
    return fact_name(step.changed.subject, step.changed.relation)


def step_colour(step: Step) -> str:
    """Return the colour of what is so far from the request, or is open."""
    if isinstance(step.changed, Several):
        return OPEN
    return CHANGED[min(step.changed.hop, len(CHANGED) - 1)]


def summary(found: Sequence[Step]) -> str:
    """Return how much changed, in a sentence or two."""
    several = sum(isinstance(step.changed, Several) for step in found)
    asked = sum(step.changed.hop == 0 and isinstance(step.changed, Changed) for step in found)
    follows = len(found) - asked - several
    said = f"{asked} fact{' was' if asked == 1 else 's were'} changed by request, and "
    said += f"{follows or 'nothing'} follow{'s' if follows < 2 else ''} from that."
    if several:
        said += f" {several} more {'has' if several == 1 else 'have'} several answers"
        said += ", of which some came or went."
    return said


def tips(found: Sequence[Step], said: Mapping[str, Said]) -> dict[str, str]:
    """Return subject -> the lines of its tooltip."""
    lines: dict[str, list[str]] = {}
    for step in found:
        text = arrowed(step)
        answer = said.get(step_name(step))
        if answer is not None:
            text += f'\n   the model: "{answer.before or ""}" \u2192 "{answer.after or ""}"'
        lines.setdefault(step.changed.subject, [step.changed.subject]).append(text)
    return {subject: "\n".join(texts) for subject, texts in lines.items()}


def arrowed(step: Step) -> str:
    """Return what a step changes, without its subject."""
    old, new = _sides(step.changed)
    return f"{step.changed.relation}: {old or 'nothing'} \u2192 {new or 'nothing'}"


def table(found: Sequence[Step], said: Mapping[str, Said]) -> str:
    """Return the HTML table of all that changed."""
    names = ("fact", "was true", "is true now", "the model before", "the model now")
    head = "".join(f"<th>{name}</th>" for name in names)
    depth: dict[str, int] = {}
    rows: list[str] = []
    for step in found:
        name, hop = step_name(step), step.changed.hop
        depth[name] = depth[step.cause] + 1 if step.cause else hop
        rows.append(_row(step, said.get(name), depth[name]))
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="wide">{body}</div>'


def _row(step: Step, answer: Said | None, depth: int) -> str:
    changed = step.changed
    cells = [_fact(changed.subject, changed.relation, step_colour(step), depth)]
    cells += [f"<td>{_shown(side)}</td>" for side in _sides(changed)]
    if isinstance(changed, Several):
        cells.append('<td class="faint" colspan="2">has several answers, is not asked</td>')
    else:
        new = _names(changed.new, answer.aliases if answer else ())
        old = _names(changed.old, answer.aliases_before if answer else ())
        cells.append(_answer(answer.before if answer else None, old, new))
        cells.append(_answer(answer.after if answer else None, new, old))
    return f"<tr>{''.join(cells)}</tr>"


def _sides(changed: Changed | Several) -> tuple[str | None, str | None]:
    """Return what was true and what is; of several answers those that differ first."""
    if isinstance(changed, Changed):
        return changed.old, changed.new
    before, after = (*changed.gone, *changed.kept), (*changed.new, *changed.kept)
    return _list(before) or None, _list(after) or None


def _list(names: Sequence[str]) -> str:
    more = len(names) - LISTED
    rest = f" and {more} more" if more > 0 else ""
    return ", ".join(names[:LISTED]) + rest


def _fact(subject: str, relation: str, colour: str, depth: int) -> str:
    dot = f'<i class="dot" style="background:{colour}"></i>'
    text = f"{escape(subject)} / <b>{escape(relation)}</b>"
    return f'<td style="padding-left:{0.6 + 1.6 * min(depth, 8)}rem">{dot}{text}</td>'


def _shown(text: str | None) -> str:
    return '<span class="faint">nothing</span>' if text is None else escape(text)


def _names(object_: str | None, aliases: Sequence[str]) -> set[str]:
    """Return all names of an object as they are compared; of nothing, none."""
    names = () if object_ is None else (object_, *aliases)
    return {_plain(name) for name in names}


def _plain(text: str) -> str:
    return text.strip(" .").casefold()


def _answer(text: str | None, right: set[str], wrong: set[str]) -> str:
    """Return the cell of an answer; where none is right, that of the other time is wrong."""
    if text is None:
        return '<td class="faint">not asked</td>'
    if right:
        kind = "right" if _plain(text) in right else "wrong"
    else:
        kind = "wrong" if _plain(text) in wrong else ""
    return f'<td class="{kind}">{escape(text[:80])}</td>'
