"""What stands under retain.trained is what unlearners train on; a retain set of none is refused."""

from dataclasses import replace

import pytest

from ksmith import graph, settings
from ksmith.probe.memory import items
from ksmith.records import UserError
from ksmith.worker.asking import by_draw
from ksmith.worker.retained import retained
from tests.graph.test_qa import task
from tests.probe.test_generated import known_graph


@pytest.mark.parametrize("method", ["npo", "rmu"])
def test_what_is_asked_about_as_trained_has_its_turn_in_training(method: str) -> None:
    known, seed = known_graph(), 3
    requests = graph.requests(known, task(share=0.1, draws=3), seed, covariates=False)
    found = items(known, requests, {"memory_facts": 90}, seed)
    asked = [
        {i.statement.fact for i in found if i.draw == draw and i.set == "trained"}
        for draw in range(3)
    ]
    hp = settings.method(method, {})
    kept = [{s.fact for s in s_of} for s_of in retained(known, hp, by_draw(requests), seed)]
    assert all(
        len(mine) == 30 and mine <= every for mine, every in zip(asked, kept, strict=True)
    )


def test_a_draw_that_leaves_nothing_to_retain_is_refused_where_something_is_to_be() -> None:
    known = known_graph()
    draws = by_draw(graph.requests(known, task(), 0, covariates=False))
    hp = settings.method("npo", {"retain_near": False})
    with pytest.raises(
        UserError, match=r"draw 0 of \d+ facts leaves none that may be trained on"
    ):
        retained(known, hp, draws, 0)
    assert all(retained(known, replace(hp, retain_near=True), draws, 0))
    assert retained(known, replace(hp, retain_weight=0.0), draws, 0) == [[]]
    assert retained(known, replace(hp, retain=0), draws, 0) == [[]]
