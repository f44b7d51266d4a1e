"""Questions as a file: the rows of `questions`, whatever makes them."""

import os
import socket
import struct
from dataclasses import asdict, replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ksmith.probe import permutation_seed, questions
from ksmith.probe.generate import SCHEMA, Trial, _received, generate, table  # pyright: ignore[reportPrivateUsage]
from ksmith.settings.probe import KINDS, Probe
from tests.probe.test_generated import known_graph, requests

SETTINGS = asdict(Probe(kinds=KINDS, neighbors=2, same_subject=1, contextual=1, sentences=10))


def trial(scale: int, draws: int, name: str = "before-1") -> Trial:
    made = requests("edit", scale, draws)
    return Trial(
        name=name, graph=known_graph(), requests=made, settings=SETTINGS, seed=0, part=7
    )


@pytest.mark.parametrize(("scale", "draws"), [(20, 1), (1, 12)])
def test_the_file_holds_the_questions_in_order(tmp_path: Path, scale: int, draws: int) -> None:
    path, asked = tmp_path / "q.parquet", trial(scale, draws)
    wanted = questions(known_graph(), asked.requests, SETTINGS, 0, part=7)
    assert generate([asked], path, workers=1) == len(wanted)
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    assert [row["question"] for row in rows] == [q.id for q in wanted]
    for row, question in zip(rows, wanted, strict=True):
        assert row["trial"] == "before-1"
        for name in ("prompt", "right", "set", "distance", "context", "fact"):
            assert row[name] == getattr(question, name)
        assert row["candidates"] == list(question.candidates)
        assert row["options"] == list(question.options)
    metadata = pq.read_metadata(path).metadata
    assert metadata[b"permutation_seed.before-1"] == str(permutation_seed(0)).encode()


def test_a_limit_cuts_the_rows_and_trials_follow_each_other(tmp_path: Path) -> None:
    path, both = tmp_path / "q.parquet", [trial(20, 1), trial(1, 3, "before-2")]
    every = generate(both, path, workers=1)
    rows = pq.read_table(path).to_pylist()
    assert {row["trial"] for row in rows} == {"before-1", "before-2"}
    for limit in (1, 50, every - 1):
        assert generate(both, path, limit=limit, workers=1) == limit
        assert pq.read_table(path).to_pylist() == rows[:limit]


def test_the_bytes_do_not_depend_on_the_processes(tmp_path: Path) -> None:
    one, two = tmp_path / "1.parquet", tmp_path / "2.parquet"
    both = [trial(20, 1), trial(1, 3, "before-2"), trial(5, 3, "before-3")]
    assert generate(both, one, workers=1) == generate(both, two, workers=2)
    assert one.read_bytes() == two.read_bytes()
    assert generate(both[2:], one, workers=1) == generate(
        both[2:], two, workers=3
    )  # of 3 parts
    assert one.read_bytes() == two.read_bytes()
    assert generate(both, two, workers=2, limit=40) == 40  # and those who go on are ended


def test_what_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate([trial(20, 1)], tmp_path / "q.parquet", workers=1, told=stop)
    assert not list(tmp_path.iterdir())


def test_an_earlier_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    path.write_text("kept")

    def fail(_: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        generate([trial(20, 1)], path, workers=1, told=fail)
    assert path.read_text() == "kept"


def test_a_part_without_questions_is_a_table_of_none() -> None:
    rows = table([], "before-1")
    assert rows.num_rows == 0 and rows.schema == SCHEMA


def test_a_process_that_dies_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    broken = replace(trial(20, 1), settings=SETTINGS | {"neighbors": "ten"})
    with pytest.raises(RuntimeError, match="a process that makes questions died"):
        generate([broken], tmp_path / "q.parquet", workers=2)
    assert "islice()" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("begun", [b"", struct.pack("!i", 1000) + b"half"])
def test_a_process_that_dies_inside_a_message_is_said(begun: bytes) -> None:
    ours, theirs = Pipe()
    with ours, theirs, socket.socket(fileno=os.dup(theirs.fileno())) as process:
        process.sendall(begun)
        process.shutdown(socket.SHUT_WR)  # its other half is open: what it is sent, it takes
        with pytest.raises(RuntimeError, match="a process that makes questions died"):
            next(_received(trial(1, 1), [ours]))
