"""The shared nouns of ksmith and the one protocol that joins its two halves.

Standard library only: everything imports this file, and it imports nothing of ours.

A *spec* is what a worker is given, an *outcome* is the folder that it leaves. Its files are

    events.jsonl          progress and warnings, one JSON object a line
    outcome.json          written last; only a folder that holds it, under its final name, counts
    answers.parquet       trial, before: one row a question and step
    memory.parquet        trial, before, standard: what is left of forget, retain, holdout sets
    metrics.json          trial: rows of `Metric`; model, gold: accuracy and trace
    tensors.parquet       what was measured on weights and activations
    gold*.parquet         trial: distances to its gold models, by question and by layer
    *.png                 figures for people
    ...                   an asset's own: graph.json, delta.safetensors, a transformers folder

An attempt that fails may leave what it had done, in the same files, and says so: `UNFINISHED`.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any, Literal, NamedTuple

Json = Any  # what json.loads returns

Kind = Literal[
    "graph",
    "model",
    "moments",
    "hypernetwork",
    "before",
    "gold",
    "standard",
    "update",
    "trial",
]
KINDS: tuple[Kind, ...] = (
    "graph",
    "model",
    "moments",
    "hypernetwork",  # that MEND edits with
    "before",
    "gold",  # a model trained on the graph after a draw's change
    "standard",  # what a gold model says: the standard that updated models are held to
    "update",
    "trial",
)

TaskKind = Literal["edit", "unlearn"]
Wording = Literal[
    "seen", "unseen", "novel"
]  # of this fact in training; of others only; of none
Set = Literal["target", "entailed", "open", "neighbour", "unrelated"]
Context = Literal["", "old", "new"]  # the object that a sentence before the question asserts
Reason = Literal["ok", "error", "oom", "timeout", "preempted", "lost", "cancelled"]

# In `Outcome.info` of an attempt that failed after some of the work was done: how much of it.
UNFINISHED = "unfinished"

KEY_VERSION = 1  # raise it when canonical() or the shape of a recipe changes


class UserError(Exception):
    """A mistake of the user's: shown as its message alone, exit code 2."""


class StudyError(UserError):
    """All mistakes found in one study file, one line each."""


# --- identity ---------------------------------------------------------------------------------


def canonical(value: Json) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces, 1.0 written as 1.

    Raises:
        ValueError: a number that JSON cannot hold (nan, inf).
    """
    return json.dumps(
        _plain(value),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


def _plain(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def digest(value: Json) -> str:
    """Return the sha256, in hex, of the canonical JSON of `value`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256, in hex, of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def derived_seed(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed for the generator called `names`: other names, independent draws."""
    # The text is that of `canonical`; a generator of questions asks for a million of them.
    words = [encode_basestring(name) if isinstance(name, str) else str(name) for name in names]
    text = f"[{','.join([str(seed), *words])}]"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


# --- the queue --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A trial or an asset: work that is named by its content and done once.

    `recipe` and the keys in `needs` are the identity. `files` says where the data files named in
    the recipe by digest were last seen: never part of the key.
    """

    kind: Kind
    recipe: dict[str, Json]
    needs: dict[str, str] = field(default_factory=dict)  # role -> key of the node
    files: dict[str, str] = field(default_factory=dict)  # dotted setting -> absolute path

    @property
    def key(self) -> str:
        """`<kind>-<key version>-<20 hex digits>`."""
        body = {"kind": self.kind, "recipe": self.recipe, "needs": self.needs}
        return f"{self.kind}-{KEY_VERSION}-{digest(body)[:20]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a worker is given: one attempt at one node, as one JSON line."""

    key: str
    kind: Kind
    recipe: dict[str, Json]
    needs: dict[str, str]  # role -> absolute folder of the finished asset
    need_keys: dict[str, str]  # role -> its key
    files: dict[str, str]
    folder: str  # absolute, without ".tmp": the worker writes <folder>.tmp, then renames
    attempt: int
    fence: int
    device: str = "cpu"

    def to_line(self) -> str:
        """Return the JSON line."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str) -> "Spec":
        """Return the spec of a JSON line."""
        return cls(**json.loads(line))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What outcome.json holds."""

    key: str
    kind: Kind
    attempt: int
    fence: int
    reason: Reason
    started: float  # seconds since the epoch
    seconds: float
    cpu_seconds: float
    peak_memory: int  # bytes, resident
    device: str
    host: str
    versions: dict[str, str]  # python and package versions
    files: dict[str, str]  # name -> sha256 of every other file in the folder
    error: str | None = None  # one line
    traceback: str | None = None
    info: dict[str, Json] = field(
        default_factory=dict
    )  # what the kind adds: layer, counts, ...

    def write(self, folder: Path) -> None:
        """Write outcome.json, flushed to disk, as the last file of `folder`."""
        path = folder / "outcome.json"
        with path.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def read(cls, folder: Path) -> "Outcome | None":
        """Return the outcome in `folder`, or None where there is no complete one."""
        try:
            return cls(**json.loads((folder / "outcome.json").read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):  # or damaged
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number with its count and 95 % interval; `low` and `high` are None where n < 2."""

    step: int  # 0 before the update
    probe: str
    measure: str
    slice: str = (
        ""  # "" is everything; known, unseen, novel, stored, derived, known.derived, ...
    )
    hop: int | None = None
    value: float
    n: int  # facts, never questions
    low: float | None = None
    high: float | None = None

    @property
    def name(self) -> str:
        """The name in MLflow: `probe.measure`, then the slice and the hop where there are any."""
        parts = [self.probe, self.measure, self.slice, f"hop{self.hop}" if self.hop else ""]
        return ".".join(part for part in parts if part)


# --- the science ------------------------------------------------------------------------------


class Statement(NamedTuple):
    """A fact in one wording: `template` has one `{}` for the subject and ends before the object."""

    subject: str
    relation: str
    object: str
    template: str
    wording: Wording = "seen"

    @property
    def prompt(self) -> str:
        """The text that the object, after one space, completes."""
        return self.template.replace("{}", self.subject, 1)

    @property
    def fact(self) -> str:
        """The name of the fact, whatever its object and wording."""
        return fact_name(self.subject, self.relation)


def fact_name(subject: str, relation: str) -> str:
    """Return the name of a fact: what is asked, without the answer."""
    return f"{subject} / {relation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A fact and the answer that it should get: a new object (edit) or a neutral one (unlearn)."""

    id: str  # unique in the trial: "<draw>.<number in the draw>"
    draw: int
    kind: TaskKind
    subject: str
    relation: str
    old: str
    new: str  # the neutral answer when kind is "unlearn"
    template: str  # one `{}`; the object follows after one space
    level: str | None = None
    covariates: dict[str, float] = field(default_factory=dict)
    # Where no one answer is asked for: the target is uniform over `new` and these.
    others: tuple[str, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """The answers that it should get, each as likely as the others."""
        return (self.new, *self.others)

    @property
    def prompt(self) -> str:
        """The template with the subject in its place."""
        return self.template.replace("{}", self.subject, 1)

    @property
    def fact(self) -> str:
        """The name of the fact."""
        return fact_name(self.subject, self.relation)


class Question(NamedTuple):
    """One prompt with candidate answers. Indices point into `candidates`.

    A tuple, for a million are made at a time: a frozen dataclass takes three times as long.
    """

    id: str  # unique in the trial
    draw: int
    request: str  # Request.id, "" where it belongs to the whole draw
    probe: str
    set: Set
    prompt: str
    candidates: tuple[str, ...]
    right: int | None  # the right answer after the update
    right_before: int | None  # ... and before it
    rival: int | None  # what `success` compares the right answer with
    subject: str
    fact: str
    # Other names of the right answer, after the update and before it, that count as its name
    # where text is written.
    aliases: tuple[str, ...] = ()
    aliases_before: tuple[str, ...] = ()
    level: str | None = None
    hop: int = 0
    stored: bool | None = None  # was this very fact verbalised in training?
    wording: Wording = "seen"
    generate: bool = True  # ask for greedy text, too
    of_type: tuple[int, ...] = ()  # candidates that are all the objects of one type, for ranks
    options: tuple[int, ...] = ()  # candidates of a four-option choice, as displayed, A to D
    # Steps, in the graph before or after, from the subject to an end of a requested fact; None:
    # there is no way, or it is longer than what is measured.
    distance: int | None = None
    domain: str | None = None  # of the subject
    context: Context = ""
    sampled: int = 0  # tokens of sampled text wanted, those of the prompt included
    seed: int = 0  # ... of what is drawn for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model said to one question. Lists run along the question's candidates."""

    question: str
    logp: tuple[float, ...]  # sum over tokens, natural log
    tokens: tuple[int, ...]
    argmax: tuple[bool, ...]  # every token of the candidate is the most probable one
    hits: tuple[int, ...] = ()  # how many of its tokens are, each after those before it
    predicted: tuple[int, ...] = ()  # the most probable ones where the right answer has its own
    generated: str | None = None  # greedy text to its natural stop, or sampled text


# --- files ------------------------------------------------------------------------------------


def publish(folder: Path) -> None:
    """Rename `<folder>.tmp` to `folder`, after flushing every file in it to disk.

    Raises:
        FileExistsError: `folder` is there already; nothing is changed.
    """
    temporary = folder.with_name(folder.name + ".tmp")
    if folder.exists():
        raise FileExistsError(f"outcome folder exists: {folder}")
    for path in files_in(temporary):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    temporary.rename(folder)
    directory = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def digests(folder: Path) -> dict[str, str]:
    """Return relative name -> sha256 for every file under `folder` except outcome.json."""
    return {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in files_in(folder)
        if path != folder / "outcome.json"
    }


def files_in(folder: Path) -> Iterator[Path]:
    """Return every file under `folder`, by name."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def inside(folder: Path, name: str) -> Path:
    """Return `folder / name`.

    Raises:
        UserError: the name, which came from a file, points out of the folder.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise UserError(f"{name!r} points out of {folder}")
    return path
