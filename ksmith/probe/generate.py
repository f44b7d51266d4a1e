"""Questions by the million: streamed to Parquet, by several processes, never all in memory.

Requests are gone through in parts of 256 (`probe.divided`), which do not need each other. Part i
is asked by process i modulo their number; each sends a part's rows as one Arrow message, and
waits until it is taken. So what lies in memory is a part a process, and the file holds the same
rows in the same order, the same bytes, whatever the number of processes. What is asked of each
fact to find out whether it was known comes last, when all that is scored has been seen.
"""

import gc
import multiprocessing
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing.connection import Connection
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ksmith.graph import KnowledgeGraph
from ksmith.probe import PART, divided, opened, permutation_seed
from ksmith.probe.known import Mark, Marks
from ksmith.records import Json, Question, Request

ROWS = 16_384  # of "known", which is not asked in parts, to a group in the file
NAMES, INDICES = pa.list_(pa.string()), pa.list_(pa.int32())
SCHEMA = pa.schema(
    {
        "trial": pa.string(),  # what the questions belong to, where several are in one file
        "question": pa.string(),
        "draw": pa.int32(),
        "request": pa.string(),
        "probe": pa.string(),
        "set": pa.string(),
        "fact": pa.string(),
        "subject": pa.string(),
        "level": pa.string(),
        "hop": pa.int32(),
        "stored": pa.bool_(),
        "distance": pa.int32(),
        "domain": pa.string(),
        "wording": pa.string(),
        "context": pa.string(),
        "prompt": pa.string(),
        "candidates": NAMES,
        "right": pa.int32(),
        "right_before": pa.int32(),
        "rival": pa.int32(),
        "aliases": NAMES,
        "aliases_before": NAMES,
        "of_type": INDICES,
        "options": INDICES,
        "generate": pa.bool_(),
    }
)
Rows = Any  # pyarrow.RecordBatch: the package has no types
Told = Callable[[int], None]  # questions so far


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What the questions of one trial depend on."""

    name: str
    graph: KnowledgeGraph
    requests: Sequence[Request]
    settings: Mapping[str, Json]
    seed: int
    part: int = PART  # requests to a part


def generate(
    trials: Iterable[Trial],
    path: Path,
    *,
    limit: int | None = None,
    workers: int = 2,
    told: Told = lambda _: None,
) -> int:
    """Return how many questions were written to the Parquet file at `path`.

    The file appears when it is complete; after an interruption there is none.

    Args:
        trials: whose questions are asked, one after another.
        path: overwritten where it is there.
        limit: stop after so many.
        workers: processes that make questions; the file does not depend on it.
        told: called with the number of questions so far.

    Raises:
        UserError: settings that name an unknown probe.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    count = 0
    try:
        with pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
            for trial in trials:
                left = None if limit is None else limit - count
                if left == 0:
                    break
                seed = str(permutation_seed(trial.seed))
                writer.add_key_value_metadata({f"permutation_seed.{trial.name}": seed})
                for rows in _tables(trial, left, workers):
                    writer.write_batch(rows)
                    count += rows.num_rows
                    told(count)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _tables(trial: Trial, limit: int | None, workers: int) -> Iterator[Rows]:
    """Yield the rows of a trial, `limit` at most."""
    asking, ordered = opened(trial.graph, trial.requests, trial.settings, trial.seed)
    marks = Marks(asking)
    left = limit
    with _processes(trial, min(workers, -(-len(ordered) // trial.part))) as parts:
        for rows, more in parts:
            yield rows if left is None else rows.slice(0, left)
            if left is not None:
                left -= min(left, rows.num_rows)
                if left == 0:
                    return
            marks.merge(more)
    asked = iter(islice(marks.questions(ordered), left))
    while found := list(islice(asked, ROWS)):
        yield table(found, trial.name)


def table(questions: Sequence[Question], trial: str) -> Rows:
    """Return one row a question; see `SCHEMA`."""
    columns: list[Any] = [pa.array([trial] * len(questions), pa.string())]
    for column in SCHEMA.names[1:]:
        name = "id" if column == "question" else column
        values = list(map(attrgetter(name), questions))
        columns.append(pa.array(values, SCHEMA.field(column).type))
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


# --- processes --------------------------------------------------------------------------------

Piece = tuple[Rows, list[tuple[str, Mark]]]


def _asked(trial: Trial, number: int = 0, of: int = 1) -> Iterator[Piece]:
    """Yield the rows of part `number` and every `of`-th on, and what to remember of them."""
    asking, ordered = opened(trial.graph, trial.requests, trial.settings, trial.seed)
    for ask in islice(divided(asking, ordered, trial.part), number, None, of):
        marks = Marks(asking)
        found = list(ask())
        for question in found:
            marks.add(question)
        yield table(found, trial.name), marks.items()


@contextmanager
def _processes(trial: Trial, workers: int) -> Generator[Iterator[Piece]]:
    """Yield the parts in order; when that is left, all processes have ended."""
    if workers < 2:
        yield _asked(trial)
        return
    # Not forked: Arrow's own threads would not live in the copy.
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe(duplex=False) for _ in range(workers)]
    started = [
        context.Process(target=_send, args=(sender, trial, number, workers), daemon=True)
        for number, (_, sender) in enumerate(pipes)
    ]
    for process, (_, sender) in zip(started, pipes, strict=True):
        process.start()
        sender.close()  # so that the end of a process is the end of its pipe
    try:
        yield _received([receiver for receiver, _ in pipes])
    finally:
        for receiver, _ in pipes:
            receiver.close()
        for process in started:
            process.terminate()
            process.join()


def _send(sender: Connection, trial: Trial, number: int, workers: int) -> None:
    """Send the parts of one process, then nothing; where nobody listens any more, end."""
    # Nothing here is in a cycle; looking for some would go through the graph again and again.
    gc.freeze()
    gc.disable()
    try:
        for rows, marks in _asked(trial, number, workers):
            sender.send_bytes(memoryview(_message(rows)))
            sender.send(marks)
        sender.send_bytes(b"")
    except (BrokenPipeError, KeyboardInterrupt):
        pass


def _received(receivers: Sequence[Connection]) -> Iterator[Piece]:
    """Yield parts in turn, one of each process."""
    for receiver in cycle(receivers):
        try:
            message = receiver.recv_bytes()
        except EOFError:
            raise RuntimeError("a process that makes questions died; it says why") from None
        if not message:  # whose turn it is has no more, so nobody has
            return
        with pa.ipc.open_stream(message) as stream:
            yield stream.read_next_batch(), receiver.recv()


def _message(rows: Rows) -> Any:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_batch(rows)
    return sink.getvalue()
