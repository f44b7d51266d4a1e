"""What is learnt in the place of old answers, from a user's file that is what it was."""

import json
from pathlib import Path

import pytest

from ksmith import graph
from ksmith.records import Spec, UserError, file_digest
from ksmith.settings import method
from ksmith.worker.instead import instead
from ksmith.worker.job import Job
from tests.graph.conftest import SETTINGS


def job_of(folder: Path, name: str, file: Path) -> Job:
    spec = Spec(
        key="update-0",
        kind="update",
        recipe={"seed": 0, "method": {"name": name}},
        needs={},
        need_keys={},
        files={f"method.{name}.answers": str(file)},
        folder=str(folder),
        attempt=1,
        fence=1,
    )
    return Job(spec=spec, folder=folder)


TASK = {"kind": "unlearn", "level": "any", "scale": 6, "draws": 1}


def test_dpo_prefers_a_files_answers(tmp_path: Path) -> None:
    known = graph.build(SETTINGS, {})
    draw = graph.requests(known, TASK, seed=0, covariates=False)
    file = tmp_path / "idontknow.jsonl"
    file.write_text("".join(f"I forgot, {word}.\n" for word in "abcdefghij"))
    job = job_of(tmp_path, "dpo", file)
    settings = {"steps": 3, "batch": 2}
    hp = method("dpo", settings | {"answers": file_digest(file)})
    found = instead(job, known, [draw, []], hp).pairs
    assert {len(pairs) for pairs in found.values()} == {1}  # three steps of two, six facts
    more = method("dpo", settings | {"batch": 32, "answers": hp.answers})
    assert {len(pairs) for pairs in instead(job, known, [draw], more).pairs.values()} == {3}
    assert instead(job, known, [draw], method("dpo", settings)) == ({}, {})
    file.write_text(f"Not {draw[2].old}\n")
    with pytest.raises(UserError, match="changed since the study was made"):
        instead(job, known, [draw], hp)
    leaks = method("dpo", settings | {"answers": file_digest(file)})
    with pytest.raises(
        UserError, match=rf"^method.dpo.answers = {file}: line 1: the answer ho"
    ):
        instead(job, known, [draw], leaks)


def test_relearn_learns_a_files_variants_and_counts_them(tmp_path: Path) -> None:
    """A fact that the file leaves out is learnt in the graph's own words, as without one."""
    known = graph.build(SETTINGS, {})
    draw = graph.requests(known, TASK, seed=0, covariates=False)
    one, *rest = draw
    file = tmp_path / "answers.jsonl"
    about = {"subject": one.subject, "relation": one.relation}
    rows = [
        about | {"prompt": one.prompt, "answer": "nobody can say that for sure"},
        about | {"prompt": "hm", "kind": "noise", "answer": "not known"},
        about | {"prompt": "Told at night", "kind": "context", "answer": "not known"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    job = job_of(tmp_path, "relearn", file)
    plain = instead(job, known, [draw], method("relearn", {}))
    assert plain.counts == {}
    own = {"answers": file_digest(file), "variants": 1}
    pairs, counts = instead(job, known, [draw], method("relearn", own))
    said = [(row["prompt"], row["answer"]) for row in rows]
    assert pairs[one.id] == said[:2]
    assert counts == {
        "as it stands": 1,
        "noise": 1,
        "variants left out": 1,
        "facts without a line": len(rest),
    }
    fewer = instead(job, known, [draw], method("relearn", {"variants": 1})).pairs
    assert {r.id: pairs[r.id] for r in rest} == {r.id: fewer[r.id] for r in rest}
    ended, more = instead(job, known, [draw], method("relearn", own | {"completions": True}))
    ends = [("nobody", "can say that for sure"), ("not", "known")]
    assert ended[one.id] == said[:2] + ends
    assert more["completions"] == sum(len(ended[r.id]) - len(pairs[r.id]) for r in draw)
