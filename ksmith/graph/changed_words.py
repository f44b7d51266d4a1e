"""The words of a change's page: every fact that changed, effects indented below their causes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ksmith.graph.because import Step
from ksmith.graph.knowledge import Several
from ksmith.records import fact_name

COLOURS = {0: "#c02434", 1: "#e07b00", 2: "#c9a800"}  # by hop; farther ones like the last
OPEN = "#7b5aa6"
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


def step_colour(hop: int) -> str:
    """Return the colour of what is so far from the request."""
    return COLOURS[min(hop, max(COLOURS))]


def summary(found: Sequence[Step], several: Sequence[Several]) -> str:
    """Return how much changed, in a sentence or two."""
    follows = sum(step.changed.hop > 0 for step in found)
    asked = len(found) - follows
    changed = f"{asked} fact{' was' if asked == 1 else 's were'} changed by request, and "
    changed += f"{follows or 'nothing'} follow{'s' if follows < 2 else ''} from that."
    if several:
        many = len(several)
        changed += f" {many} more {'has' if many == 1 else 'have'} several answers"
        changed += ", of which some came or went."
    return changed


def tips(
    found: Sequence[Step], several: Sequence[Several], said: Mapping[str, Said]
) -> dict[str, str]:
    """Return subject -> the lines of its tooltip."""
    lines: dict[str, list[str]] = {}
    for step in found:
        changed = step.changed
        text = arrowed(step)
        answer = said.get(step_name(step))
        if answer is not None:
            text += f'\n   the model: "{answer.before or ""}" \u2192 "{answer.after or ""}"'
        lines.setdefault(changed.subject, [changed.subject]).append(text)
    for fact in several:
        old, new = (_list(names) for names in _sides(fact))
        text = f"{fact.relation}: {old or 'nothing'} \u2192 {new or 'nothing'}"
        lines.setdefault(fact.subject, [fact.subject]).append(text)
    return {subject: "\n".join(texts) for subject, texts in lines.items()}


def arrowed(step: Step) -> str:
    """Return what a step changes, without its subject."""
    changed = step.changed
    return f"{changed.relation}: {changed.old or 'nothing'} \u2192 {changed.new or 'nothing'}"


def table(found: Sequence[Step], several: Sequence[Several], said: Mapping[str, Said]) -> str:
    """Return the HTML table of all that changed."""
    names = ("fact", "was true", "is true now", "the model before", "the model now")
    head = "".join(f"<th>{name}</th>" for name in names)
    depth: dict[str, int] = {}
    rows: list[str] = []
    for step in found:
        depth[step_name(step)] = depth[step.cause] + 1 if step.cause else 0
        rows.append(_row(step, said.get(step_name(step)), depth[step_name(step)]))
    rows += [_open_row(fact) for fact in several]
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="wide">{body}</div>'


def _row(step: Step, answer: Said | None, depth: int) -> str:
    changed = step.changed
    new = _names(changed.new, answer.aliases if answer else ())
    old = _names(changed.old, answer.aliases_before if answer else ())
    cells = [
        _fact(changed.subject, changed.relation, step_colour(changed.hop), depth),
        f"<td>{_shown(changed.old)}</td>",
        f"<td>{_shown(changed.new)}</td>",
        _answer(answer.before if answer else None, old, new),
        _answer(answer.after if answer else None, new, old),
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _open_row(fact: Several) -> str:
    old, new = (_shown(_list(names) or None) for names in _sides(fact))
    first = _fact(fact.subject, fact.relation, OPEN, fact.hop)
    no_one = '<td class="faint" colspan="2">has several answers, is not asked</td>'
    return f"<tr>{first}<td>{old}</td><td>{new}</td>{no_one}</tr>"


def _sides(fact: Several) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the answers before and after, those that differ first."""
    return (*fact.gone, *fact.kept), (*fact.new, *fact.kept)


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
