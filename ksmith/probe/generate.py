"""Questions by the million: streamed to Parquet, by several processes, never all in memory.

Requests are gone through in parts of 256 (`probe.divided`), which do not need each other. Part i
is asked by process i modulo their number; each sends a part's rows as one Arrow message, and
waits until it is taken. The processes are started for the first trial of several parts, and
stay for those after it. So what lies in memory is a part a process, and the file holds the same
rows in the same order, the same bytes, whatever the number of processes. What is asked of each
fact to find out whether it was known comes last, when all that is scored has been seen.
"""

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, final

import pyarrow as pa
import pyarrow.parquet as pq

from ksmith.graph import KnowledgeGraph
from ksmith.probe import PART, divided, opened, permutation_seed
from ksmith.probe.known import Marked, Marks
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
        with (
            pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer,
            closing(Processes(workers)) as processes,
        ):
            for trial in trials:
                left = None if limit is None else limit - count
                if left == 0:
                    break
                seed = str(permutation_seed(trial.seed))
                writer.add_key_value_metadata({f"permutation_seed.{trial.name}": seed})
                for rows in _tables(trial, left, processes):
                    writer.write_batch(rows)
                    count += rows.num_rows
                    told(count)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _tables(trial: Trial, limit: int | None, processes: "Processes") -> Iterator[Rows]:
    """Yield the rows of a trial, `limit` at most."""
    asking, ordered = opened(trial.graph, trial.requests, trial.settings, trial.seed)
    marks = Marks(asking)
    left = limit
    alone = processes.count < 2 or len(ordered) <= trial.part
    for rows, more in _asked(trial) if alone else _received(trial, processes.pipes):
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
    values = dict(zip(Question._fields, zip(*questions, strict=True), strict=False))
    values |= {"trial": (trial,) * len(questions), "question": values.get("id", ())}
    columns = [pa.array(values.get(column.name, ()), column.type) for column in SCHEMA]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


# --- processes --------------------------------------------------------------------------------

Piece = tuple[Rows, list[Marked]]


def _asked(trial: Trial, number: int = 0, of: int = 1) -> Iterator[Piece]:
    """Yield the rows of part `number` and every `of`-th on, and what to remember of them."""
    asking, ordered = opened(trial.graph, trial.requests, trial.settings, trial.seed)
    for ask in islice(divided(asking, ordered, trial.part), number, None, of):
        marks = Marks(asking)
        found = list(ask())
        for question in found:
            marks.add(question)
        yield table(found, trial.name), marks.items()


@final
class Processes:
    """So many processes that make questions: started when they are first needed."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._started: list[BaseProcess] = []

    @cached_property
    def pipes(self) -> Sequence[Connection]:
        """A pipe to each."""
        # Not forked: Arrow's own threads would not live in the copy.
        context = multiprocessing.get_context("spawn")
        ours: list[Connection] = []
        for number in range(self.count):
            pipe, theirs = context.Pipe()
            arguments = (theirs, number, self.count)
            process = context.Process(target=_serve, args=arguments, daemon=True)
            process.start()
            theirs.close()  # so that the end of a process is the end of its pipe
            ours.append(pipe)
            self._started.append(process)
        return ours

    def close(self) -> None:
        """End those that were started."""
        for process in self._started:
            process.terminate()
            process.join()


def _serve(pipe: Connection, number: int, of: int) -> None:
    """Send the parts of one process, then nothing, trial by trial; end where nobody listens."""
    # Nothing here is in a cycle; looking for some would go through the graph again and again.
    gc.freeze()
    gc.disable()
    try:
        while True:
            for rows, marks in _asked(pipe.recv(), number, of):
                pipe.send_bytes(memoryview(_message(rows)))
                pipe.send(marks)
            pipe.send_bytes(b"")
    except (EOFError, ConnectionError, KeyboardInterrupt):
        pass


def _received(trial: Trial, pipes: Sequence[Connection]) -> Iterator[Piece]:
    """Yield a trial's parts in turn, one of each process."""
    message = ForkingPickler.dumps(trial)  # what `send` does, once for all
    try:
        for pipe in pipes:
            pipe.send_bytes(message)
        for number, pipe in cycle(enumerate(pipes)):
            rows = pipe.recv_bytes()
            if not rows:  # whose turn it is has no more, so nobody has
                for other in (*pipes[:number], *pipes[number + 1 :]):
                    other.recv_bytes()
                return
            with pa.ipc.open_stream(rows) as stream:
                yield stream.read_next_batch(), pipe.recv()
    except (EOFError, OSError):  # an OSError where it died inside a message
        raise RuntimeError("a process that makes questions died; it says why") from None


def _message(rows: Rows) -> Any:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_batch(rows)
    return sink.getvalue()
