"""What a trial's key covers, and what it does not."""

import dataclasses
import functools
import json
import random
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmith.settings import METHODS, Declared, Rome, Synthetic, declared, names
from ksmith.settings.fields import Count, setting
from ksmith.settings.graph import REWORDED
from ksmith.settings.probe import JUDGES, KINDS
from ksmith.settings.units import SIZED
from ksmith.settings.unlearning import STOPS
from ksmith.study import flat, nodes, read
from tests.corpus.test_statistics import public
from tests.study.files import HEAD, ROME, keys, only, readers, written

ALL = {"graph", "model", "moments", "before", "update", "trial"}
FULL: dict[str, Any] = {
    "seed": 3,
    "graph": {"source": "synthetic", "facts": 400, "stored": 1.0, "seed": 2},
    "model": {"recipe": "fixture", "seed": 1, "steps": 300, "lr": 1.0},
    "task": {"kind": "unlearn", "method": "npo", "level": "leaf", "scale": 10, "draws": 4},
    "method": {"npo": {"beta": 2.0, "steps": 7}, "rome": {"steps": 2}},
    "probe": {"kinds": ["efficacy", "reverse", "utility"], "hops": 3, "sentences": 5},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("identity")


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {inline(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def toml(data: dict[str, Any], name: str = "x") -> str:
    return (
        "\n".join(f"{key} = {inline(value)}" for key, value in data.items())
        + f'\nname = "{name}"'
    )


def shuffled(value: Any, generator: random.Random) -> Any:
    """Return the same settings in another order, and whole numbers in either form."""
    if isinstance(value, dict):
        items = [(key, shuffled(item, generator)) for key, item in value.items()]
        return dict(generator.sample(items, len(items)))
    if isinstance(value, list):
        return generator.sample(value, len(value))
    if isinstance(value, int | float) and value == int(value):
        return generator.choice([int(value), float(value)])
    return value


@settings(deadline=None, max_examples=50)
@given(st.randoms(use_true_random=False), st.text("abz09", min_size=1, max_size=9))
def test_order_form_of_numbers_and_name_change_nothing(
    folder: Path, generator: random.Random, name: str
) -> None:
    plain = keys(only(written(folder, toml(FULL))))
    other = keys(only(written(folder, toml(shuffled(FULL, generator), name), "other.toml")))
    assert plain == other


@functools.cache
def _settable() -> list[tuple[str, str, Declared]]:
    owners = names(METHODS).owners
    return [(name, owner, item) for name, by in owners.items() for owner, item in by.items()]


# Setting -> others without which it makes no difference.
NEEDED: dict[str, dict[str, Any]] = {
    "probe.memory_facts": {"probe.memory": True},
    "probe.memory_gradients": {"probe.memory": True},
    "probe.judge_nli": {"probe.memory": True},
    "probe.judge_similarity": {"probe.memory": True},
    "probe.memory_tokens": {"probe.memory": True, "model.load": "gpt2"},
    "graph.centrality": {"graph.levels": "centrality"},
    "model.gold": {"task.draws": 1},
    "model.system": {"model.template": "chat"},
    "model.date": {"model.template": "chat"},
    "task.batch": {"task.sequence": 6},
    "task.checkpoints": {"task.sequence": 6},
}


def base(name: str, owner: str, folder: Path) -> dict[str, Any]:
    """Return settings in which `name` of `owner` makes a difference."""
    data = folder / "records.json"
    data.write_text("[]")
    values: dict[str, Any] = {"task.method": "rome", "task.kind": "unlearn"} | NEEDED.get(
        name, {}
    )
    if owner in ("counterfact", "zsre"):
        values |= {"graph.source": owner, "graph.path": str(data)}
    if owner == "qa" or name == "model.end":  # which ends the answers of no other source
        values |= {
            "graph.source": "qa",
            "graph.forget": str(data),
            "graph.retain": str(data),
        }
    if owner == "triples":
        (folder / "facts.csv").write_text("subject,relation,object\na,r,b\n")
        values |= {"graph.source": owner, "graph.path": str(folder / "facts.csv")}
    (folder / "corpus.jsonl").write_text('{"text": "a", "title": "b"}')
    corpus = {"moments.corpus": str(folder / "corpus.jsonl")}
    levels = {"graph.levels": "centrality"}
    start = f"method.{owner}."
    sizes = {start + size: 0.1 for size in SIZED if start + size in names(METHODS).owners}
    needs: dict[str, dict[str, Any]]
    needs = {"graph.centrality": levels, "moments.column": corpus, "moments.length": corpus}
    needs |= {f"{start}preset": {"model.load": "gpt2-xl"}, f"{start}units": sizes}
    there = str(readers(folder / "similarity", "judge_similarity"))
    needs["probe.judge_entities"] = {"probe.memory": True, "probe.judge_similarity": there}
    needs |= {f"{start}retain": {f"{start}retain_weight": 1.0}}  # at 0 nobody looks at the set
    values |= needs.get(name, {})
    if owner == "geography":
        values["graph.source"] = owner
    if owner == "load":
        values["model.load"] = "gpt2"
    if name.startswith("method."):
        values["task.method"] = owner
    if name.startswith("probe."):
        values["probe.kinds"] = list(KINDS)  # a probe that is not asked has settings in vain
    return values


def another(name: str, item: Declared, folder: Path) -> Any:
    """Return an allowed value that is not the default."""
    public(folder / "layer.npz")
    written(folder, "words", "words.txt")
    given = {"subject": "a", "relation": "r", "prompt": "Who is a?", "answer": "Nobody"}
    written(folder, json.dumps(given), "answers.jsonl")
    for file in ("config.json", "model.safetensors"):
        written(folder, "{}", file)
    special = {
        "model.gold": [str(folder)],
        "moments.corpus": str(folder / "words.txt"),
        "moments.column": "title",
        "moments.length": 128,
        "moments.layers": [1],
        "moments.npz": str(folder),
        "graph.domains": ["companies", "places"],
        "graph.facts": 300,
        "graph.path": str(folder / "other.json"),
        "graph.templates": str(folder / "other.json"),
        **{f"graph.{name}": str(folder / "other.json") for name in ("forget", "retain")},
        "graph.rules": ["r(a, b) -> q(b, a)"],
        "graph.functional": ["r"],
        "model.load": "org/other",
        "model.revision": "abc",
        "model.template": "chat",
        "model.date": "2025-04-10",
        "model.width": 64,
        "model.length": 96,
        "model.layers": 7,
        **{
            f"probe.{role}": str(readers(folder / "judge", role))
            for role in JUDGES
            if name == f"probe.{role}"
        },
        **{
            f"method.{name}.layers": [1]
            for name in ("memit", "emmet", "alphaedit", "lora", "mend")
        },
        "method.mend.modules": ["mlp_out"],
        "method.mend.edits": [2],
        "method.lora.modules": ["attention"],
        "method.dpo.answers": str(folder / "words.txt"),
        "method.relearn.answers": str(folder / "answers.jsonl"),
        "probe.kinds": ["efficacy"],
        "task.method": "memit",
        "task.kind": "edit",
        "task.gold": 2,
        "task.share": 0.04,  # of which there can be as many draws as by default
        "task.sequence": 2,  # of one fact the same is asked as of an update of one
        "task.checkpoints": [3],
    }
    if (name, item.path) == ("graph.holdout", True):
        return str(folder / "other.json")
    if name in special:
        return special[name]
    if item.choices:
        return next((value for value in item.choices if value != item.default), None)
    if isinstance(item.default, bool):
        return not item.default
    if item.is_text:
        return "other"
    if isinstance(item.default, float):
        return item.default * 0.7 + 0.0123
    return (item.default or 0) + 1


CHANGED = {
    "seed": ALL - {"graph", "model", "moments"},
    "graph": ALL,
    "model": ALL - {"graph"},
    "task": ALL - {"graph", "model", "moments"},
    "probe": {"before", "trial"},
    "moments": {"moments", "update", "trial"},
    "method": {"update", "trial"},
}
EXCEPT = {
    **{
        f"method.{name}.moment_tokens": {"moments", "update", "trial"}
        for name, method in METHODS.items()
        if "moments" in method.assets
    },
    "method.rome.adjust": {"moments", "update", "trial"},  # without, they are not measured
    "method.r_rome.adjust": {"moments", "update", "trial"},  # without, they are not measured
    **{  # all of them are of the training
        f"method.mend.{name}": {"hypernetwork", "update", "trial"}
        for name in declared(METHODS["mend"])
    },
    "task.method": {"update", "trial"},
    "probe.drift": {"trial"},
    "probe.drift_facts": {"trial"},
    **{f"probe.{role}": {"trial"} for role in JUDGES},
    "task.gold": {"trial"},
    "model.gold": {"trial"},
    "task.batch": {"update", "trial"},
    "task.checkpoints": {"update", "trial"},
}


@pytest.mark.parametrize(
    ("name", "owner", "item"), [row for row in _settable() if row[0] != "graph.source"]
)
def test_every_setting_changes_what_it_feeds_and_nothing_else(
    folder: Path, name: str, owner: str, item: Declared
) -> None:
    (folder / "other.json").write_text("[1]")
    values = base(name, owner, folder)
    value = another(name, item, folder)
    assert value is not None
    before = _keys(folder, lines(values))
    after = keys(only(written(folder, lines(values | {name: value}), "y.toml")))
    differ = {role for role in before if before[role] != after.get(role)}
    assert differ == EXCEPT.get(name, CHANGED[name.split(".")[0]]) & set(before)


@functools.cache
def _keys(folder: Path, text: str) -> dict[str, str]:
    """Return the keys of a study that many settings are compared with."""
    return keys(only(written(folder, text)))


def lines(values: dict[str, Any]) -> str:
    """Return a study file: settings come before any table, so dotted names stand on top."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()) + HEAD


def test_the_source_changes_everything(tmp_path: Path) -> None:
    written(tmp_path, "[]", "records.json")
    plain = keys(only(written(tmp_path, ROME)))
    text = ROME + '[graph]\nsource = "counterfact"\npath = "records.json"\n'
    real = keys(only(written(tmp_path, text)))
    assert {role for role in plain if plain[role] != real[role]} == ALL


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", ["recipe", "load"])
def test_defaults_spelled_out_change_nothing(tmp_path: Path, method: str, model: str) -> None:
    chosen = {"graph": "synthetic", "model": model, "method": method, "task": "task"}
    values: dict[str, Any] = {"task.method": method, "task.kind": "unlearn"}
    if model == "load":
        values["model.load"] = "gpt2"
    short = only(written(tmp_path, lines(values)))
    for name, owner, item in _settable():
        wanted = chosen.get(name.split(".")[0], owner)
        if owner in (wanted, "graph") and not item.required and item.default is not None:
            values.setdefault(name, item.default)
    numbers = {f"model.{name}": value for name, value in short.settings["model"].items()}
    known = names(METHODS).owners
    values = {k: v for k, v in numbers.items() if k in known} | values
    assert len(values) > 20
    assert keys(only(written(tmp_path, lines(values), "y.toml"))) == keys(short)


def test_what_has_no_effect_changes_nothing(tmp_path: Path) -> None:
    plain = keys(only(written(tmp_path, ROME)))
    for text in (
        "[method.npo]\nbeta = 0.7\n",
        "[method.memit.grid]\nsteps = [1, 2]\n",
        'neutral = "abstain"\n',
        "[[when]]\nif = { seed = 7 }\nset = { seed = 8 }\n",
        "[[exclude]]\nseed = 7\n",
    ):
        assert keys(only(written(tmp_path, ROME + text, "y.toml"))) == plain
    few = ROME + '[probe]\nkinds = ["reverse", "efficacy"]\n'
    same = ROME + '[probe]\nkinds = ["efficacy", "reverse"]\nhops = 2\nneighbors = 3\n'
    assert keys(only(written(tmp_path, few))) == keys(only(written(tmp_path, same, "y.toml")))


def test_a_raised_version_changes_the_update_of_that_method_alone(tmp_path: Path) -> None:
    class Raised(Rome):
        version: ClassVar[int] = Rome.version + 1

    path = written(tmp_path, HEAD + '[grid]\n"task.method" = ["rome", "npo"]\n')
    raised = {**METHODS, "rome": Raised}
    old, new = read(path).points, read(path, methods=raised).points
    differ = [
        {role for role, key in keys(a).items() if keys(b, raised)[role] != key}
        for a, b in zip(old, new, strict=True)
    ]
    assert differ == [{"update", "trial"}, set()]


def test_the_version_of_a_stop_is_in_the_keys_of_updates_that_may_stop_alone(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, ROME)

    def version(*sets: str) -> int:
        return only(path, "task.method=npo", "task.kind=unlearn", *sets).settings["method"][
            "version"
        ]

    usual = METHODS["npo"].version
    assert version() == version("method.npo.stop_forget=0") == usual
    assert version("method.npo.stop_forget=0.2") == usual + STOPS > usual


def test_the_version_of_a_domains_words_is_in_the_keys_of_its_graphs_alone(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, ROME)

    def version(*domains: str) -> int:
        return only(path, f"graph.domains={json.dumps(domains)}").settings["graph"]["version"]

    assert version("places") == version("schools", "places") == Synthetic.version
    assert version("places", "companies") == Synthetic.version + REWORDED["companies"]
    assert REWORDED["companies"] >= 1


def test_a_new_setting_at_its_no_op_default_leaves_old_keys(tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Longer(Rome):
        rounds: Count = setting(1, "of everything", omit_at_default=True)

    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Other(Rome):
        rounds: Count = setting(1, "of everything")

    path = written(tmp_path, ROME)
    plain = keys(only(path))
    longer, other = {**METHODS, "rome": Longer}, {**METHODS, "rome": Other}
    assert keys(only(path, methods=longer), longer) == plain
    assert keys(only(path, "method.rome.rounds=1", methods=longer), longer) == plain
    assert keys(only(path, "method.rome.rounds=2", methods=longer), longer) != plain
    assert keys(only(path, methods=other), other) != plain


def test_a_data_file_is_its_content(tmp_path: Path) -> None:
    text = ROME + '[graph]\nsource = "counterfact"\npath = "{}"\n'
    points = []
    for number, content in enumerate(["[1]", "[1]", "[2]"]):
        (tmp_path / f"d{number}").mkdir()
        written(tmp_path, content, f"d{number}/r.json")
        points.append(only(written(tmp_path, text.format(f"d{number}/r.json"))))
    first, same, other = points
    assert keys(first) == keys(same)
    assert not set(keys(first).values()) & set(keys(other).values())
    assert first.files == {"graph.path": str(tmp_path / "d0" / "r.json")}
    graph = nodes(first)["graph"]
    assert graph.files == first.files
    assert "path" not in json.dumps(graph.recipe)


def model_folder(folder: Path) -> Path:
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "README.md"):
        (folder / name).write_text(name)
    return folder


def test_a_local_model_is_its_content(tmp_path: Path) -> None:
    path = written(tmp_path, ROME)
    one, two = model_folder(tmp_path / "one"), model_folder(tmp_path / "two")
    first = only(path, f"model.load={one}")
    assert keys(first) == keys(only(path, f"model.load={two}"))
    assert set(first.settings["model"]) == {"version", "digest", "dtype"}
    assert first.files == {"model.load": str(one)} == nodes(first)["model"].files
    assert keys(only(path, f"model.load={two}", "model.dtype=bfloat16")) != keys(first)

    (two / "README.md").write_text("changed")
    (two / "pytorch_model.bin").write_text("never read")
    assert keys(first) == keys(only(path, f"model.load={two}"))
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (two / name).write_text("changed")
        assert keys(first) != keys(only(path, f"model.load={two}"))
        (two / name).write_text(name)
    (two / "model-2.safetensors").write_text("more")
    assert keys(first)["graph"] == keys(only(path, f"model.load={two}"))["graph"]
    assert keys(first)["model"] != keys(only(path, f"model.load={two}"))["model"]


def test_the_shape_of_a_trial(tmp_path: Path) -> None:
    text = (
        HEAD + '[grid]\n"task.method" = ["rome", "ft_l"]\n"task.kind" = ["edit", "unlearn"]\n'
    )
    points = read(written(tmp_path, text)).points
    for point in points:
        tables = ["seed", "graph", "model", "task", "method", "probe", "moments"]
        assert list(point.settings) == tables
        assert ("neutral" in point.settings["task"]) == (
            point.settings["task"]["kind"] == "unlearn"
        )
        found = nodes(point)
        assert set(found) == ALL - ({"moments"} if "ft_l" in point.axes.values() else set())
        assert [node.kind for node in found.values()] == list(found)
        by_key = {node.key: role for role, node in found.items()}
        for role, node in found.items():
            assert {by_key[key] for key in node.needs.values()} == set(node.needs)
            earlier = list(found)[: list(found).index(role)]
            assert set(node.needs) <= set(earlier)
        assert "method" not in found["before"].recipe["task"]
        assert "probe" not in found["update"].recipe
    assert flat(points[0].settings)["method.rome.lr"] == 0.2
    assert json.loads(json.dumps(points[0].settings)) == points[0].settings


def test_only_where_there_are_aliases_do_they_make_another_measurement(tmp_path: Path) -> None:
    """Else no key moves: what is measured of a graph without aliases is what it was."""
    asks = {"before", "trial"}
    for text, there in (
        ("", False),
        ("[graph]\naliases = 0.0\n", False),
        ("[graph]\naliases = 0.3\n", True),
        ('[graph]\nsource = "geography"\n', True),
    ):
        found = nodes(only(written(tmp_path, ROME + text)))
        told = {r for r, node in found.items() if "aliases" in node.recipe.get("probe", {})}
        assert told == (asks if there else set())
