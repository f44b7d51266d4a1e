"""What may be learnt in the place of an old answer: other questions, with answers of their own."""

import math
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ksmith.corpus import Given, Text
from ksmith.graph.knowledge import KnowledgeGraph
from ksmith.graph.statements import asked_in, seen
from ksmith.records import Request, UserError, derived_seed, fact_name

AS_IT_STANDS = "as it stands"  # in counts: lines that name no kind
BEGINNING = 4  # a completion begins with one in so many of an answer's words

Pairs = dict[str, list[tuple[str, str]]]  # request id -> (prompt, answer)


class Learnt(NamedTuple):
    """What a file gives to learn, and how much of it is what."""

    pairs: Pairs
    counts: Mapping[str, int]  # lines by kind, of the requests; what was left out, and why


def instead(graph: KnowledgeGraph, requests: Sequence[Request], variants: int) -> Pairs:
    """Return request id -> (prompt, answer): its question in several wordings, each with a target.

    The wordings are its own and at most `variants` others in which training states the fact: no
    probe of what an update does asks in those. The old object is no answer of any of them, by
    whatever name.

    Raises:
        UserError: a request has no target but the old object, by whatever name.
    """
    found: Pairs = {}
    for request in requests:
        prompts = [request.prompt, *(s.prompt for s in seen(graph, request)[:variants])]
        old = (request.old,) if request.kind == "edit" else names(graph, request.old)
        answers = [name for name in request.targets if name not in old]
        if not answers:
            raise UserError(
                f"{request.fact!r}: nothing to learn in the place of {request.old!r}: "
                f"{request.new!r} is that answer, perhaps by another name; choose another "
                "task.neutral, or leave the fact out"
            )
        # Each wording meets each answer, neither one more often than the others.
        pairs = range(math.lcm(len(prompts), len(answers)))
        found[request.id] = [
            (prompts[i % len(prompts)], answers[i % len(answers)]) for i in pairs
        ]
    return found


def given(
    graph: KnowledgeGraph,
    requests: Sequence[Request],
    rows: Sequence[Given],
    variants: int,
    *,
    scored: bool = False,
) -> Learnt:
    """Return what the rows about the requests' facts say, where there are any.

    Of the rows with a kind, a fact has the first `variants`. None asks in words that probes of
    an update ask in, unless they may be trained on (`scored`).

    Raises:
        UserError: a row about a fact that the graph has not, that says by any name what is to be
            unlearned, or that asks in words that are scored; or rows with a kind about a
            question that has no row of its own.
    """
    asked = {request.fact: request for request in requests}
    mine: dict[str, list[Given]] = {}
    for row in rows:
        fact = fact_name(row.subject, row.relation)
        if fact not in graph.fact:
            raise UserError(f"line {row.line}: the graph has no fact {fact!r}")
        if fact in asked:
            mine.setdefault(fact, []).append(row)
    found: Pairs = {}
    counts: Counter[str] = Counter()
    for fact, lines in mine.items():
        request = asked[fact]
        told = list(_checked(graph, request, lines, counts, scored=scored))
        kinds = [row for row in told if row.kind][:variants]
        kept = [row for row in told if not row.kind or row in kinds]
        counts.update(row.kind or AS_IT_STANDS for row in kept)
        counts["variants left out"] += len(told) - len(kept)
        found[request.id] = [(row.prompt, row.answer) for row in kept]
    counts["facts without a line"] += len(asked) - len(mine)
    return Learnt(found, dict(counts))


def _checked(
    graph: KnowledgeGraph,
    request: Request,
    lines: Sequence[Given],
    counts: Counter[str],
    *,
    scored: bool,
) -> Iterator[Given]:
    """Yield the lines about one request, each looked at."""
    own = any(not row.kind and _plain(row.prompt) == _plain(request.prompt) for row in lines)
    in_words = {_plain(statement.prompt) for statement in asked_in(graph, request)}
    for row in lines:
        _check(graph, request, row)
        if row.kind and not own:
            raise UserError(
                f"line {row.line}: {row.kind} of a question that has no line of its own, with an "
                f"answer and no kind: {request.prompt!r}"
            )
        if _plain(row.prompt) in in_words:
            if not scored:
                raise UserError(
                    f"line {row.line}: the prompt is how the question is asked to be scored: "
                    f"{row.prompt!r}; leave it out, or set method.relearn.scored = true and read "
                    "what is scored in other words as words of training"
                )
            counts["in scored words"] += 1
        yield row


def completions(pairs: Pairs) -> Pairs:
    """Return request id -> (beginning, rest) of each different answer of two words or more.

    The beginning is the first quarter of the words, one at least: of 9 words, 2.
    """
    found: Pairs = {}
    for request, own in pairs.items():
        for answer in dict.fromkeys(answer for _, answer in own):
            words = answer.split()
            first = max(1, len(words) // BEGINNING)
            if len(words) > 1:
                both = " ".join(words[:first]), " ".join(words[first:])
                found.setdefault(request, []).append(both)
    return found


def unknowing(
    graph: KnowledgeGraph,
    requests: Sequence[Request],
    texts: Sequence[Text],
    turns: int,
    seed: int,
) -> Pairs:
    """Return request id -> (prompt, answer): its question with the text of each of its `turns`.

    Each request has an order of its own, drawn by `seed`, in which every text comes before one
    comes again.

    Raises:
        UserError: a text that says by any name what is to be unlearned.
    """
    found: Pairs = {}
    for request in requests:
        for line, text in texts:
            _check_text(graph, request, line, "answer", text)
        drawn = random.Random(derived_seed(seed, "unknowing", request.id))
        order = drawn.sample([text for _, text in texts], min(turns, len(texts)))
        found[request.id] = [(request.prompt, text) for text in order]
    return found


def _check(graph: KnowledgeGraph, request: Request, row: Given) -> None:
    if request.kind == "edit":
        return
    prompt = row.prompt.replace(request.subject, " ")  # in whose name it may well be
    for where, text in (("prompt", prompt), ("answer", row.answer)):
        _check_text(graph, request, row.line, where, text)


def _check_text(
    graph: KnowledgeGraph, request: Request, line: int, where: str, text: str
) -> None:
    record = graph.record.get(request.fact)
    reworded = (record.reworded,) if record and record.reworded else ()
    for name in (*names(graph, request.old), *reworded):
        # A sentence may go on where it ended: "In Oslo." is in "in Oslo, they say".
        wanted = name.casefold().rstrip(".!?… ") or name.casefold()
        if re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", text.casefold()):
            raise UserError(
                f"line {line}: the {where} holds {name!r}, which is to be unlearned"
            )


def _plain(text: str) -> str:
    """Return the words of a text, by which two are the same."""
    return " ".join(re.findall(r"\w+", text.casefold())) or text


def names(graph: KnowledgeGraph, object_: str) -> tuple[str, ...]:
    """Return the name of an object and its aliases."""
    entity = graph.entity.get(object_)
    return (object_, *(entity.aliases if entity else ()))
