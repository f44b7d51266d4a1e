"""What is learnt in the place of old answers, from a user's file that is what it was."""

from pathlib import Path

import pytest

from ksmith import graph
from ksmith.records import Spec, UserError, file_digest
from ksmith.settings import method
from ksmith.worker.instead import instead
from ksmith.worker.job import Job
from tests.graph.conftest import SETTINGS

TASK = {"kind": "unlearn", "level": "any", "scale": 6, "draws": 1}


def test_dpo_prefers_a_files_answers(tmp_path: Path) -> None:
    known = graph.build(SETTINGS, {})
    draw = graph.requests(known, TASK, seed=0, covariates=False)
    file = tmp_path / "idontknow.jsonl"
    file.write_text("".join(f"I forgot, {word}.\n" for word in "abcdefghij"))
    spec = Spec(
        key="update-0",
        kind="update",
        recipe={"seed": 0, "method": {"name": "dpo"}},
        needs={},
        need_keys={},
        files={"method.dpo.answers": str(file)},
        folder=str(tmp_path),
        attempt=1,
        fence=1,
    )
    job = Job(spec=spec, folder=tmp_path)
    settings = {"steps": 3, "batch": 2}
    hp = method("dpo", settings | {"answers": file_digest(file)})
    found = instead(job, known, [draw, []], hp)
    assert {len(pairs) for pairs in found.values()} == {1}  # three steps of two, six facts
    more = method("dpo", settings | {"batch": 32, "answers": hp.answers})
    assert {len(pairs) for pairs in instead(job, known, [draw], more).values()} == {3}
    assert instead(job, known, [draw], method("dpo", settings)) == {}
    file.write_text(f"Not {draw[2].old}\n")
    with pytest.raises(UserError, match="changed since the study was made"):
        instead(job, known, [draw], hp)
    leaks = method("dpo", settings | {"answers": file_digest(file)})
    with pytest.raises(
        UserError, match=rf"^method.dpo.answers = {file}: line 1: the answer ho"
    ):
        instead(job, known, [draw], leaks)
