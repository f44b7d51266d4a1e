"""From a combination to the settings of a trial: defaults filled in, files known by content."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ksmith.records import Json, canonical, digest
from ksmith.settings import GRAPHS, Method, Probe, Task, declared, judges
from ksmith.settings.graph import REWORDED
from ksmith.settings.probe import JUDGES, OF_MEMORY, ends_by_itself
from ksmith.settings.probe import SETTINGS as ASKED_BY
from ksmith.settings.task import checkpoints
from ksmith.settings.words import show
from ksmith.study import known, together
from ksmith.study.check import Value
from ksmith.study.expand import Flat
from ksmith.study.files import is_folder
from ksmith.study.method import method_section
from ksmith.study.model import model_section
from ksmith.study.moments import moments_section
from ksmith.study.section import NOTHING, Desk, Resolved, resolved, value

NO_JUDGE = "no such folder, and no name on the hub, as NAME or NAME@REVISION"
# Settings of a graph that name files -> what stands for them in its key.
DATA_FILES = {
    "path": "digest",
    "templates": "templates_digest",
    "forget": "forget_digest",
    "retain": "retain_digest",
    "holdout": "holdout_digest",
}


@dataclass(slots=True)
class Resolver:
    """Resolves combinations; a table that many trials share is checked and hashed once."""

    methods: Mapping[str, type[Method]]
    desk: Desk
    _tables: dict[tuple[Any, ...], Resolved] = field(default_factory=dict[Any, Resolved])
    _folders: dict[str, known.Known | None] = field(default_factory=dict[str, Any])

    def resolve(self, flat: Flat) -> dict[str, Resolved]:
        """Return the tables of a trial; what is wrong with them is noted once."""
        source = value(flat, "graph.source", "synthetic")
        method = value(flat, "task.method", "")
        together.gold(flat, self.desk)
        together.end(flat, source, self.desk)
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
        found = self._folders.get(tables["model"].files.get("model.load", ""))
        together.layers(flat, tables, found, self.desk)
        together.abstaining(flat, tables, self.desk)
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
        seed = value(own, "", 0)
        return Resolved(seed, {}, canonical(seed))

    def _graph(self, own: Flat, source: str) -> Resolved:
        settings = GRAPHS[source]
        values = self.desk.filled(
            settings, own, "graph", needed=f"graph.source is {show(source)}"
        )
        if values is None:
            return NOTHING
        files: dict[str, str] = {}
        items, named = declared(settings), 0
        for name, content in DATA_FILES.items():
            if name not in items or not items[name].path or values.pop(name, None) is None:
                continue
            named += 1
            path = self.desk.files.data(own[name], f"graph.{name}")
            if path is not None:
                files[f"graph.{name}"] = str(path)
                values[content] = self.desk.files.digest(path)
        if len(files) < named:
            return NOTHING
        words = sum(REWORDED.get(name, 0) for name in values.get("domains", ()))
        version = settings.version + words
        return resolved({"source": source, "version": version, **values}, files)

    def _model(self, own: Flat, _: str) -> Resolved:
        return model_section(own, self.desk)

    def _task(self, own: Flat, source: str) -> Resolved:
        values = self.desk.filled(Task, own, "task")
        if values is None:
            return NOTHING
        levels = GRAPHS[source].task_levels
        if values["level"] not in ("any", *levels):
            where = self.desk.where(own, "level")
            has = f"has only {', '.join(levels)}" if levels else "has no levels: leave it out"
            message = f"task.level = {show(values['level'])}: graph.source {show(source)} {has}"
            self.desk.mistakes.add(where, message)
        method, kind = values["method"], values["kind"]
        tasks = self.methods[method].tasks
        if kind not in tasks:
            where = max(self.desk.where(own, name) for name in ("kind", "method"))
            message = f"method {method} serves {' and '.join(tasks)}, not {kind}"
            self.desk.mistakes.add(where, message)
        if values["kind"] == "edit":
            del values["neutral"]
        if "checkpoints" in values:  # with the end: two ways to say the same are one
            steps = list(checkpoints(values))
            usual = list(checkpoints(values | {"checkpoints": None}))
            values = values | {"checkpoints": steps}
            if steps == usual:
                del values["checkpoints"]
        return resolved(values)

    def _method(self, own: Flat, method: str) -> Resolved:
        return (
            method_section(self.methods[method], own, method, self.desk) if method else NOTHING
        )

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
            self.desk.mistakes.add(flat[f"{name}preset"].where, f"{name}{wrong}")
        return resolved({**method.value, **extra}, method.files) if extra else method

    def _probe(self, own: Flat, _: str) -> Resolved:
        values = self.desk.filled(Probe, own, "probe")
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
            self._without_memory(values, own)
        files = self._judges(values, own)
        return resolved({"version": Probe.version, **values}, files)

    def _without_memory(self, values: dict[str, Json], own: Flat) -> None:
        """Take out what is of the sets that nobody asks about; one at its default is not there."""
        for name in (name for name in OF_MEMORY if name in values):
            del values[name]
            where, why = own[name].where.text, "is of sets that probe.memory asks about"
            self.desk.notes.append(f"{where}: probe.{name} is left out: it {why}")

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
                self.desk.notes.append(f"{given.where.text}: {full} is left out: it {why}")
                continue
            folder = self._judge(given, full)
            if not isinstance(folder, Path):
                values[name] = folder
                continue
            if reason := judges.wrong(name, folder):
                self.desk.mistakes.add(given.where, f"{full} = {show(given.value)}: {reason}")
                continue
            found = judges.judge_files(folder)
            values[name] = digest(
                {part: self.desk.files.digest(path) for part, path in found.items()}
            )
            files[full] = str(folder)
        return files

    def _judge(self, given: Value, name: str) -> Path | str:
        """Return the folder of a judge; of one that is to be fetched, NAME@COMMIT; "": neither."""
        folder = self.desk.files.path(given, name)
        if folder is None or is_folder(folder):
            return folder or ""
        where = judges.on_hub(given.value)
        if where is None:
            self.desk.mistakes.add(given.where, f"{name} = {show(given.value)}: {NO_JUDGE}")
            return ""
        there = judges.in_cache(*where)
        if there is not None:
            if where[1] == "main":
                note = f"{name} is {where[0]} at main, which can move; in the cache it is "
                self.desk.notes.append(f"{note}{there.name}: name that to pin it")
            return there
        if not judges.COMMIT.fullmatch(where[1]):
            message = (
                f"{name} = {show(given.value)}: no such folder, and not in the hub's cache: name "
                f"its commit ({where[0]}@ and 40 hex digits), by which it is known until it is "
                f"fetched, or fetch it first: hf download {where[0]}"
            )
            self.desk.mistakes.add(given.where, message)
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
        if note not in self.desk.notes:
            self.desk.notes.append(note)
        rest = {name: given for name, given in probe.items() if name != "memory_tokens"}
        return resolved(rest, tables["probe"].files)

    def _moments(self, own: Flat, method: str) -> Resolved:
        needed = method and "moments" in self.methods[method].assets
        return moments_section(own, self.desk) if needed else NOTHING
