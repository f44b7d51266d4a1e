"""From a combination to the settings of a trial: defaults filled in, files known by content."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ksmith import corpus
from ksmith.records import Json, UserError, canonical, digest, file_digest
from ksmith.settings import (
    GRAPHS,
    Load,
    Method,
    Moments,
    Names,
    Probe,
    Recipe,
    Task,
    declared,
    fields,
    judges,
)
from ksmith.settings.graph import REWORDED
from ksmith.settings.known_models import published
from ksmith.settings.model import ASKED_IN, model_files
from ksmith.settings.moments import LENGTH
from ksmith.settings.probe import JUDGES, OF_MEMORY, ends_by_itself
from ksmith.settings.probe import SETTINGS as ASKED_BY
from ksmith.settings.recipes import resolve as recipe_numbers
from ksmith.settings.task import checkpoints
from ksmith.settings.units import SIZED
from ksmith.settings.unlearning import STOPS
from ksmith.settings.words import show
from ksmith.study import known
from ksmith.study.check import START, Value
from ksmith.study.expand import Flat
from ksmith.study.mistakes import Mistakes, Where

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9_][\w.-]{0,95})?", re.ASCII)
NO_JUDGE = "no such folder, and no name on the hub, as NAME or NAME@REVISION"
# What reads a method's file of answers, and refuses what is none.
ANSWERS: dict[str, Callable[[Path], object]] = {
    "method.dpo.answers": corpus.texts,
    "method.relearn.answers": corpus.answers,
}
# Settings of a graph that name files -> what stands for them in its key.
DATA_FILES = {
    "path": "digest",
    "templates": "templates_digest",
    "forget": "forget_digest",
    "retain": "retain_digest",
    "holdout": "holdout_digest",
}


@dataclass(frozen=True, slots=True)
class Resolved:
    """One part of a trial's settings, the files that it stands for, and its JSON text."""

    value: Json
    files: dict[str, str]
    text: str

    def copy(self) -> Json:
        """Return the settings, for a trial to keep."""
        return dict(self.value) if isinstance(self.value, dict) else self.value


NOTHING = Resolved({}, {}, "{}")


@dataclass(slots=True)
class Resolver:
    """Resolves combinations; a table that many trials share is checked and hashed once."""

    names: Names
    methods: Mapping[str, type[Method]]
    start: Where  # of what is missing
    mistakes: Mistakes
    notes: list[str]
    complete: bool  # say what is missing
    _tables: dict[tuple[Any, ...], Resolved] = field(default_factory=dict[Any, Resolved])
    _digests: dict[Path, str] = field(default_factory=dict[Path, str])
    _folders: dict[str, known.Known | None] = field(default_factory=dict[str, Any])
    # (setting, file): read to the end, and found to be what it should.
    _texts: set[tuple[str, Path]] = field(default_factory=set[tuple[str, Path]])

    def resolve(self, flat: Flat) -> dict[str, Resolved]:
        """Return the tables of a trial; what is wrong with them is noted once."""
        source = _value(flat, "graph.source", "synthetic")
        method = _value(flat, "task.method", "")
        self._check_gold(flat)
        tables = {
            "seed": self._table(flat, "seed", self._seed, ""),
            "graph": self._table(flat, "graph", self._graph, source),
            "model": self._table(flat, "model", self._model, ""),
            "task": self._table(flat, "task", self._task, source),
            "method": self._table(flat, f"method.{method}", self._method, method),
            "probe": self._table(flat, "probe", self._probe, ""),
            "moments": self._table(flat, "moments", self._moments, method),
        }
        tables["method"] = self._known(flat, tables["model"], tables["method"])
        tables["probe"] = self._written(flat, tables)
        self._check_layers(flat, tables)
        self._check_abstaining(flat, tables)
        return tables

    def parts(self) -> list[dict[str, Json]]:
        """Return the different tables so far, each as {section: settings}."""
        return [{key[0].partition(".")[0]: made.value} for key, made in self._tables.items()]

    def _table(
        self, flat: Flat, section: str, make: Callable[[Flat, str], Resolved], chosen: str
    ) -> Resolved:
        start = section if section == "seed" else section + "."
        own = {name.removeprefix(start): flat[name] for name in flat if name.startswith(start)}
        given = sorted((name, canonical(v.value), v.folder) for name, v in own.items())
        key = (section, chosen, *given)
        if key not in self._tables:
            self._tables[key] = make(own, chosen)
        return self._tables[key]

    # --- one section each ---------------------------------------------------------------------

    def _seed(self, own: Flat, _: str) -> Resolved:
        seed = _value(own, "", 0)
        return Resolved(seed, {}, canonical(seed))

    def _graph(self, own: Flat, source: str) -> Resolved:
        settings = GRAPHS[source]
        values = self._filled(settings, own, "graph", needed=f"graph.source is {show(source)}")
        if values is None:
            return NOTHING
        files: dict[str, str] = {}
        items, named = declared(settings), 0
        for name, content in DATA_FILES.items():
            if name not in items or not items[name].path or values.pop(name, None) is None:
                continue
            named += 1
            path = self._data_file(own[name], f"graph.{name}")
            if path is not None:
                files[f"graph.{name}"] = str(path)
                values[content] = self._digest(path)
        if len(files) < named:
            return NOTHING
        words = sum(REWORDED.get(name, 0) for name in values.get("domains", ()))
        version = settings.version + words
        return _resolved({"source": source, "version": version, **values}, files)

    def _model(self, own: Flat, _: str) -> Resolved:
        if "load" in own:
            return self._loaded(own)
        values = self._filled(Recipe, own, "model")
        if values is None:
            return NOTHING
        name, mechanism = values["recipe"], values["mechanism"]
        fixed = {key: values[key] for key in ("recipe", "seed", "mechanism")}
        given = {k: v for k, v in values.items() if k not in fixed and v is not None}
        try:
            numbers = recipe_numbers(name, given, mechanism)
        except ValueError as error:
            leaf = str(error).split()[0]
            self.mistakes.add(_where(own, leaf, self.start), f"model.{error}")
            return NOTHING
        return _resolved({**fixed, "version": Recipe.version, **numbers})

    def _loaded(self, own: Flat) -> Resolved:
        values = self._filled(Load, own, "model")
        if values is None:
            return NOTHING
        given = own["load"]
        folder = self._path(given, "model.load")
        if folder is None:
            return NOTHING
        if _is_folder(folder):
            if "revision" in own:
                note = (
                    f"{own['revision'].where.text}: model.revision means nothing for a folder"
                )
                self.notes.append(note)
            table = {
                "version": Load.version,
                "digest": self._model_digest(folder, given.where),
                "dtype": values["dtype"],
                **{name: values[name] for name in ASKED_IN if name in values},
            }
            return self._with_golds(table, {"model.load": str(folder)}, own)
        if not HUB_NAME.fullmatch(given.value):
            message = (
                f"model.load = {show(given.value)}: no such folder, and no name on the hub"
            )
            self.mistakes.add(given.where, message)
        elif values["revision"] == "main":
            note = "model.revision is main, which can move: name a commit to pin the model"
            self.notes.append(note)
        return self._with_golds({"version": Load.version, **values}, {}, own)

    def _with_golds(self, table: dict[str, Json], files: dict[str, str], own: Flat) -> Resolved:
        """Return the model's table with the digests of the gold models that a user brings."""
        table.pop("gold", None)
        digests: list[str] = []
        for item in own["gold"].value if "gold" in own else ():
            given = replace(own["gold"], value=item)
            folder = self._path(given, "model.gold")
            if folder is None:
                continue
            found = self._model_digest(folder, given.where, "model.gold")
            if found and found in (table.get("digest"), *digests):
                what = (
                    "the model under study" if found == table.get("digest") else "named twice"
                )
                message = f"model.gold: {folder} is {what}, file for file"
                self.mistakes.add(given.where, message)
            files[f"gold.{len(digests)}"] = str(folder)
            digests.append(found)
        return _resolved({**table, "gold": digests} if digests else table, files)

    def _task(self, own: Flat, source: str) -> Resolved:
        values = self._filled(Task, own, "task")
        if values is None:
            return NOTHING
        levels = GRAPHS[source].task_levels
        if values["level"] not in ("any", *levels):
            where = _where(own, "level", self.start)
            has = f"has only {', '.join(levels)}" if levels else "has no levels: leave it out"
            message = f"task.level = {show(values['level'])}: graph.source {show(source)} {has}"
            self.mistakes.add(where, message)
        method, kind = values["method"], values["kind"]
        tasks = self.methods[method].tasks
        if kind not in tasks:
            where = max(_where(own, name, self.start) for name in ("kind", "method"))
            message = f"method {method} serves {' and '.join(tasks)}, not {kind}"
            self.mistakes.add(where, message)
        if values["kind"] == "edit":
            del values["neutral"]
        if "checkpoints" in values:  # with the end: two ways to say the same are one
            steps = list(checkpoints(values))
            usual = list(checkpoints(values | {"checkpoints": None}))
            values = values | {"checkpoints": steps}
            if steps == usual:
                del values["checkpoints"]
        return _resolved(values)

    def _check_gold(self, flat: Flat) -> None:
        """Note a gold model that nobody could train: by what recipe was a loaded model made?"""
        if "model.load" in flat and _value(flat, "task.gold", 0):
            message = (
                f"task.gold = {show(flat['task.gold'].value)}: gold models are trained by the "
                "recipe of the model, and model.load names one that exists; leave task.gold out, "
                "or name a model.recipe; models that you retrained go into model.gold"
            )
            self.mistakes.add(_where(flat, "task.gold", self.start), message)
        if not _value(flat, "model.gold", ()):
            return
        for name, usual, allowed in (("draws", 20, 1), ("sequence", 0, 0)):
            given = _value(flat, f"task.{name}", usual)
            if given != allowed:
                message = (
                    f"model.gold: each folder was trained without one forget set; task.{name} "
                    f"must be {allowed}, and is {show(given)}"
                )
                self.mistakes.add(flat["model.gold"].where, message)

    def _method(self, own: Flat, method: str) -> Resolved:
        if not method:
            return NOTHING
        values = self._filled(self.methods[method], own, f"method.{method}")
        if values is None:
            return NOTHING
        if values.get("preset") == "paper":
            values = self._with_published_open(values, own, method)
        elif values.get("units") == "absolute":
            self._check_units(own, method)
        if values.get("retain_weight") == 0 and "retain" in values:  # nobody looks at the set
            values["retain"] = declared(self.methods[method])["retain"].default
        files: dict[str, str] = {}
        if "answers" in values:
            path = self._answers(own["answers"], f"method.{method}.answers")
            if path is None:
                return NOTHING
            values["answers"] = self._digest(path)
            files[f"method.{method}.answers"] = str(path)
        version = self.methods[method].version + (STOPS if values.get("stop_forget") else 0)
        table = {"name": method, "version": version, **values}
        return _resolved(table, files)

    def _answers(self, given: Value, name: str) -> Path | None:
        """Return the file of answers, or None after a mistake."""
        path = self._data_file(given, name)
        try:
            if path is not None and (name, path) not in self._texts:
                ANSWERS[name](path)
                self._texts.add((name, path))
        except UserError as error:
            self.mistakes.add(given.where, f"{name} = {show(given.value)}: {error}")
            return None
        return path

    def _with_published_open(
        self, values: dict[str, Json], own: Flat, method: str
    ) -> dict[str, Json]:
        """Return what the study says: the worker knows the model, and fills in the rest.

        A default that the study says is the study's, also where it is left out elsewhere.
        """
        items, public = declared(self.methods[method]), published(method)
        said = {
            name: fields.plain(items[name], fields.check(items[name], own[name].value))
            for name in own
            if name in public
        }
        return {k: v for k, v in values.items() if k not in public} | said

    def _check_units(self, own: Flat, method: str) -> None:
        """Note sizes that are not given: their defaults are relative ones."""
        sized = [name for name in declared(self.methods[method]) if name in SIZED]
        for name in sized:
            if name not in own:
                message = (
                    f"method.{method}.{name} is missing: its default is relative, and units are "
                    f"absolute ({SIZED[name]})"
                )
                self.mistakes.add(_where(own, "units", self.start), message)

    def _known(self, flat: Flat, model: Resolved, method: Resolved) -> Resolved:
        """Return the method's table with the version of the known models where they decide."""
        if not method.value or not model.value or not known.decides(method.value):
            return method
        folder = model.files.get("model.load", "")
        if folder not in self._folders:
            self._folders[folder] = known.in_folder(folder) if folder else None
        extra, wrong = known.taken(method.value, model.value, self._folders[folder])
        if wrong:
            name = f"method.{method.value['name']}."
            self.mistakes.add(flat[f"{name}preset"].where, f"{name}{wrong}")
        return _resolved({**method.value, **extra}, method.files) if extra else method

    def _check_abstaining(self, flat: Flat, tables: Mapping[str, Resolved]) -> None:
        """Note a file of abstaining answers in a task whose target is another."""
        method, task = tables["method"].value, tables["task"].value
        if method.get("name") != "dpo" or "answers" not in method or not task:
            return
        aim = task.get("neutral", task["kind"])
        if aim != "abstain":
            said = 'task.kind "edit"' if aim == "edit" else f"task.neutral {show(aim)}"
            message = (
                "method.dpo.answers: abstaining answers go with unlearning towards such "
                f'(task.kind "unlearn", task.neutral "abstain"), not with {said}'
            )
            self.mistakes.add(flat["method.dpo.answers"].where, message)

    def _check_layers(self, flat: Flat, tables: Mapping[str, Resolved]) -> None:
        """Note layers that a model which is trained won't have; a loaded one is not known yet."""
        method, measured = tables["method"].value, tables["moments"].value.get("layers")
        there = tables["model"].value.get("layers")
        own = known.layers(
            method, self._folders.get(tables["model"].files.get("model.load", ""))
        )
        for leaf in ("layer", "layers"):
            if method.get(leaf) is not None:
                self._check_there(flat, f"method.{method['name']}.{leaf}", own, there)
        if measured is None:
            return
        self._check_there(flat, "moments.layers", measured, there)
        without = [layer for layer in own if layer not in measured]
        if without and method.get("adjust", True):
            message = (
                f"moments.layers = {show(measured)}: {method['name']} edits layer {without[0]}, "
                "of which it needs the second moment; name it, too"
            )
            self.mistakes.add(flat["moments.layers"].where, message)

    def _check_there(
        self, flat: Flat, name: str, layers: Sequence[int], there: int | None
    ) -> None:
        if there and max(layers) >= there:
            given = show(flat[name].value)
            message = f"{name} = {given}: the model has layers 0 to {there - 1}"
            self.mistakes.add(flat[name].where, message)

    def _probe(self, own: Flat, _: str) -> Resolved:
        values = self._filled(Probe, own, "probe")
        if values is None:
            return NOTHING
        settings = declared(Probe)
        for name, probes in ASKED_BY.items():
            # What no probe asks for can't make a difference.
            if not set(probes) & set(values["kinds"]):
                values[name] = settings[name].default
                if settings[name].omit_at_default:
                    del values[name]
        if not values.get("drift", True):
            values.pop("drift_facts", None)
        if not values.get("memory"):
            for name in OF_MEMORY:
                values.pop(name, None)
        files = self._judges(values, own)
        return _resolved({"version": Probe.version, **values}, files)

    def _judges(self, values: dict[str, Json], own: Flat) -> dict[str, str]:
        """Put digests in the place of models that read; return where these are, by their names.

        Without a text that is written there is nothing to read.
        """
        files: dict[str, str] = {}
        for name in (name for name in JUDGES if name in values):
            given, full = own[name], f"probe.{name}"
            if not (values.get("memory") and values["generate"]):
                del values[name]
                why = "reads what probe.memory and probe.generate have a model write"
                self.notes.append(f"{given.where.text}: {full} is left out: it {why}")
                continue
            folder = self._judge(given, full)
            if not isinstance(folder, Path):
                values[name] = folder
                continue
            if reason := judges.wrong(name, folder):
                self.mistakes.add(given.where, f"{full} = {show(given.value)}: {reason}")
                continue
            found = judges.judge_files(folder)
            values[name] = digest({part: self._digest(path) for part, path in found.items()})
            files[full] = str(folder)
        return files

    def _judge(self, given: Value, name: str) -> Path | str:
        """Return the folder of a judge; of one that is to be fetched, NAME@COMMIT; "": neither."""
        folder = self._path(given, name)
        if folder is None or _is_folder(folder):
            return folder or ""
        where = judges.on_hub(given.value)
        if where is None:
            self.mistakes.add(given.where, f"{name} = {show(given.value)}: {NO_JUDGE}")
            return ""
        there = judges.in_cache(*where)
        if there is not None:
            if where[1] == "main":
                note = f"{name} is {where[0]} at main, which can move; in the cache it is "
                self.notes.append(f"{note}{there.name}: name that to pin it")
            return there
        if not judges.COMMIT.fullmatch(where[1]):
            message = (
                f"{name} = {show(given.value)}: no such folder, and not in the hub's cache: name "
                f"its commit ({where[0]}@ and 40 hex digits), by which it is known until it is "
                f"fetched, or fetch it first: hf download {where[0]}"
            )
            self.mistakes.add(given.where, message)
        return "@".join(where)

    def _written(self, flat: Flat, tables: Mapping[str, Resolved]) -> Resolved:
        """Return the probe's table without the length of texts that are not written so far."""
        probe, graph, model = (tables[name].value for name in ("probe", "graph", "model"))
        by_itself = ends_by_itself(graph, model)
        if "memory_tokens" not in probe or (probe["generate"] and by_itself):
            return tables["probe"]
        why = "a model that is trained here on statements writes 2 tokens more than the answer has"
        note = (
            f"{flat['probe.memory_tokens'].where.text}: probe.memory_tokens is left out: "
            f"{why if probe['generate'] else 'probe.generate is false'}"
        )
        if note not in self.notes:
            self.notes.append(note)
        rest = {name: value for name, value in probe.items() if name != "memory_tokens"}
        return _resolved(rest, tables["probe"].files)

    def _moments(self, own: Flat, method: str) -> Resolved:
        """Return what second moments are measured on; nothing where the method needs none."""
        if not method or "moments" not in self.methods[method].assets:
            return NOTHING
        values = self._filled(Moments, own, "moments")
        if not values:
            return NOTHING
        try:
            return self._measured_on(values, own)
        except UserError as error:
            name = "npz" if "npz" in values else "corpus"
            message = f"moments.{name} = {show(own[name].value)}: {error}"
            self.mistakes.add(_where(own, name, self.start), message)
            return NOTHING

    def _measured_on(self, values: dict[str, Json], own: Flat) -> Resolved:
        if "npz" in values:
            folder = self._path(own["npz"], "moments.npz")
            if folder is None:
                return NOTHING
            headers = [corpus.header(path) for path in corpus.statistics(folder)]
            digests = {one.path.name: self._digest(one.path) for one in headers}
            table = {**values, "npz": digest(digests)}
            return _resolved(table, {"moments.npz": str(folder)})
        if "corpus" not in values:
            return _resolved(values)
        path = self._data_file(own["corpus"], "moments.corpus")
        if path is None:
            return NOTHING
        found = corpus.find(path, values.get("column"))
        if found.kind != "parquet" and ("moments", path) not in self._texts:
            corpus.check_text(path)
            self._texts.add(("moments", path))
        table = {"length": LENGTH, **values, "corpus": self._digest(path), "kind": found.kind}
        if found.column is not None:
            table["column"] = found.column
        return _resolved(table, {"moments.corpus": str(path)})

    def _filled(
        self, settings: type, own: Flat, section: str, needed: str = ""
    ) -> dict[str, Json] | None:
        """Return the values with defaults, or None after a mistake."""
        items = declared(settings)
        given = {name: value.value for name, value in own.items() if name in items}
        missing = [name for name, item in items.items() if item.required and name not in given]
        for name in missing if self.complete else []:
            because = f": {needed}" if needed else ""
            self.mistakes.add(self.start, f"{section}.{name} is missing{because}")
        if missing:
            return None
        try:
            made = fields.build(settings, given, section)
        except ValueError as error:  # values that do not go together: the class's own check
            leaf = str(error).split()[0]
            self.mistakes.add(_where(own, leaf, self.start), f"{section}.{error}")
            return None
        values = {name: fields.plain(items[name], getattr(made, name)) for name in items}
        return {
            name: value
            for name, value in values.items()
            if not (
                items[name].omit_at_default
                and value == fields.plain(items[name], items[name].default)
            )
        }

    # --- files --------------------------------------------------------------------------------

    def _path(self, given: Value, name: str) -> Path | None:
        """Return the absolute path, or None where there can't be such a path."""
        try:
            if given.value and "\0" not in given.value:
                return (given.folder / Path(given.value).expanduser()).resolve()
        except (OSError, RuntimeError):  # a loop of links; ~ of a user who is not there
            pass
        message = f"{name} = {show(given.value)}: must name a file or a folder"
        self.mistakes.add(given.where, message)
        return None

    def _data_file(self, given: Value, name: str) -> Path | None:
        path = self._path(given, name)
        if path is None:
            return None
        try:
            reason = "" if path.is_file() else "is no file" if path.exists() else "no such file"
            if not reason:  # never open what is no file: a pipe would wait for ever
                self._digest(path)
        except OSError as error:
            reason = (error.strerror or "cannot be read").lower()
        if reason:
            self.mistakes.add(given.where, f"{name} = {show(given.value)}: {reason} ({path})")
        return None if reason else path

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            self._digests[path] = file_digest(path)
        return self._digests[path]

    def _model_digest(self, folder: Path, where: Where, name: str = "model.load") -> str:
        """Return one digest over what a model is: configuration, weights and tokenizer."""
        files = model_files(folder)
        if not files:
            message = f"{name}: {folder} holds no config.json with a *.safetensors beside it"
            self.mistakes.add(where, message)
            return ""
        try:
            return digest({path.name: self._digest(path) for path in files})
        except OSError as error:
            self.mistakes.add(where, f"{name}: {error.filename} cannot be read")
            return ""


def _resolved(table: dict[str, Json], files: dict[str, str] | None = None) -> Resolved:
    return Resolved(table, files or {}, canonical(table))


def _value(flat: Flat, name: str, default: Any) -> Any:
    return flat[name].value if name in flat else default


def _where(own: Flat, leaf: str, start: Where) -> Where:
    return own[leaf].where if leaf in own and own[leaf].where is not START else start


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
