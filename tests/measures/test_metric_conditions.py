"""What metrics are conditioned on and sliced by, by hand."""

from typing import Any

import polars as pl
import pytest

from ksmith.measures import metrics, with_trained
from tests.measures.rows import Trial


def conditioned() -> Trial:
    """Return three requests: the first was known, of the third nobody asked."""
    trial = Trial()
    for i in range(3):
        question = trial.ask("efficacy", ["new", "old"], request=f"0.{i}")
        for step in (0, 1):
            trial.answer(step, question, {"new": (-1 if i == 0 else -3, 1), "old": (-2, 1)})
    for i, rights in enumerate([("old", "old"), ("old", "")]):
        for right in rights:
            more = {"request": f"0.{i}", "right": "old", "rival": None}
            trial.add("known", {"old": (-1, 1)}, step=0, best=right, **more)
    return trial


def test_known_by_other_wordings_before_the_update() -> None:
    found = conditioned().metrics()
    assert (found[1, "efficacy.success"].value, found[1, "efficacy.success"].n) == (1 / 3, 3)
    known = found[1, "efficacy.success.known"]
    assert (known.value, known.n) == (1, 1)  # both wordings must be right
    accuracy = found[0, "known.accuracy"]
    assert (accuracy.value, accuracy.n) == (0.75, 2)


def test_answers_after_the_update_change_nothing_about_known() -> None:
    trial = conditioned()
    before = trial.rows(0)["known"].to_list()
    for question in trial.questions:
        if question.probe == "known":
            trial.answer(1, question.id, {"old": (-9, 1)}, best="")
    rows = trial.rows()
    assert rows.filter(pl.col("step") == 1)["known"].to_list() == before
    assert {m.name for m in metrics(rows, 0) if m.step == 1 and m.probe == "known"} == set()


def test_each_fact_is_known_by_itself() -> None:
    trial = Trial()
    for fact, best in (("near", "true"), ("far", "")):
        more = {"right": "true", "before": "true", "set": "neighbour", "fact": fact}
        trial.add("neighborhood", {"true": (-1, 1), "old": (-2, 1)}, step=0, **more)
        trial.add("known", {"true": (-1, 1)}, step=0, best=best, rival=None, **more)
    rows = trial.rows(0).filter(pl.col("probe") == "neighborhood")
    assert dict(rows.select("fact", "known").iter_rows()) == {"near": True, "far": False}


def test_a_new_consequence_is_known_as_its_request_is() -> None:
    trial = Trial()
    more = {"set": "entailed", "fact": "new / inverse", "before": None}
    trial.add("reverse", {"new": (-1, 1), "old": (-2, 1)}, step=0, **more)
    trial.add("known", {"old": (-1, 1)}, step=0, best="old", right="old", rival=None)
    assert trial.rows(0).filter(pl.col("probe") == "reverse")["known"].to_list() == [True]


def test_slices_and_hops() -> None:
    trial = Trial()
    for hop, stored, success in ((1, True, 1), (1, False, 0), (2, False, 0), (2, False, 1)):
        said = {"new": (-1, 1), "old": (-2 if success else 0, 1)}
        more: dict[str, Any] = {
            "set": "entailed",
            "hop": hop,
            "stored": stored,
            "fact": f"{hop} {stored}",
        }
        trial.add("multi_hop", said, **more)
    found = trial.metrics(1)
    names = ("", ".hop1", ".hop2", ".stored", ".derived", ".derived.hop1", ".derived.hop2")
    values = [found[1, f"multi_hop.success{name}"].value for name in names]
    assert values == [0.5, 0.5, 0.5, 1, pytest.approx(1 / 3), 0, 0.5]
    assert found[1, "multi_hop.success.derived.hop2"].hop == 2
    assert (1, "multi_hop.success.stored.hop2") not in found


def test_what_a_method_trained_on_to_keep_is_a_slice_of_its_own() -> None:
    """And in no other; which facts were known is asked of all of them."""
    trial = Trial()
    for number, fact in enumerate(("trained on", "only asked", "only asked, too")):
        more: dict[str, Any] = {
            "set": "neighbour",
            "right": "old",
            "rival": "new",
            "fact": fact,
        }
        more["request"] = f"0.{number % 2}"
        trial.add("known", {"old": (-1, 1), "new": (-2, 1)}, step=0, best="old", **more)
        near = trial.ask("same_subject", ["old", "new"], **more)
        for step in (0, 1):
            right = step == 0 or fact == "trained on"
            trial.answer(step, near, {"old": (-1 if right else -3, 1), "new": (-2, 1)})
    rows = with_trained(trial.rows(), [(0, "trained on"), (1, "only asked")])
    assert rows.filter("trained")["fact"].unique().to_list() == ["trained on"]
    assert rows["known"].to_list() == trial.rows()["known"].to_list()
    found = {(m.step, m.name): (m.value, m.n) for m in metrics(rows, 0)}
    for slice_, before, after in (("", (1, 2), (0, 2)), (".trained", (1, 1), (1, 1))):
        name = f"same_subject.success{slice_}"
        assert (found[0, name], found[1, name]) == (before, after)
    assert found[1, "same_subject.success.known"] == (0, 2) and found[0, "known.accuracy"] == (
        1,
        3,
    )
    assert found[1, "spread.choice"] == (0, 2)


def test_wordings_are_told_apart() -> None:
    trial = Trial()
    for wording, old in (("unseen", -2), ("novel", -0.5)):
        trial.add("paraphrase", {"new": (-1, 1), "old": (old, 1)}, wording=wording)
    found = trial.metrics(1)
    assert found[1, "paraphrase.success.unseen"].value == 1
    assert found[1, "paraphrase.success.novel"].value == 0
