"""What is asked at the checkpoints of a sequence, against the graph after each of them."""

from ksmith import graph, probe
from ksmith.records import Question
from ksmith.worker.asking import by_draw, due, written

WORLD = {"source": "synthetic", "seed": 0, "version": 1, "facts": 300, "stored": 0.7}
ASKED = {
    "kinds": ["efficacy", "neighborhood", "same_subject", "reverse", "multi_hop", "utility"],
    "neighbors": 3,
    "same_subject": 3,
    "hops": 8,
    "distance": 2,
    "sentences": 5,
    "candidates": 8,
    "generate": False,
    "reworded": False,
}


def right(question: Question, known: graph.KnowledgeGraph) -> bool:
    """Is the question's right answer true there, or where it has none, the old one false?"""
    relation = question.fact.removeprefix(f"{question.subject} / ")
    truth = known.world.objects(relation, question.subject)
    if question.right is None:
        return question.candidates[question.right_before or 0] not in truth
    return question.candidates[question.right] in truth


def test_asked_is_what_is_written_and_true_by_then_and_nothing_else() -> None:
    world = graph.build(WORLD, {})
    task = {"kind": "edit", "level": "any", "scale": 1, "draws": 2, "sequence": 20, "batch": 2}
    requests = graph.requests(world, task, seed=2)
    every = probe.questions(world, requests, ASKED, seed=2)
    every = [question for question in every if question.probe != "known"]
    waited = 0
    for number, draw in enumerate(by_draw(requests)):
        at = written(task, draw)
        mine = [question for question in every if question.draw == number]
        own = [question for question in mine if question.request]
        asked = due(world, task, mine, draw)
        assert list(asked) == [2, 6, 10, 20]
        for step, found in asked.items():
            so_far = graph.after(world, draw[:step])
            ids = {question.id for question in found}
            assert ids >= {q.id for q in mine if not q.request}  # of the draw as a whole
            expected = {q.id for q in own if at[q.request] <= step and right(q, so_far)}
            assert ids & {q.id for q in own} == expected
            waited += sum(at[q.request] <= step for q in own) - len(expected)
    assert waited > 0  # what follows from two requests is not right after the first


def test_requests_are_those_of_an_update_at_once() -> None:
    world = graph.build(WORLD, {})
    task = {"kind": "edit", "level": "any", "scale": 1, "draws": 2}
    long = graph.requests(world, task | {"sequence": 20}, seed=0)
    assert long == graph.requests(world, task | {"scale": 20}, seed=0)
