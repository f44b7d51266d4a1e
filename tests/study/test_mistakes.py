"""Broken study files: one clear line for each mistake, with its place; never a traceback."""

from pathlib import Path
from typing import ClassVar

import pytest

from ksmith.settings import METHODS
from ksmith.settings.probe import KINDS
from ksmith.study import nodes, read
from tests.study.files import HEAD, ROME, mistakes, only, written

*_FIRST, _LAST = (f'"{name}"' for name in METHODS)
QUOTED = f"{', '.join(_FIRST)} or {_LAST}"
DPO = HEAD + '[task]\nmethod = "dpo"\n'
NPO = HEAD + '[task]\nmethod = "npo"\nkind = "unlearn"\n'
SEQUENCE = ROME + "sequence = 20\n"
ONE_EACH = {
    # forget sets
    ROME + 'forget = "node"\n': [
        'x.toml:4: task.forget = "node": must be "facts", "entity", "branch" or "relation"'
    ],
    ROME + 'forget = "branch"\n': [
        'x.toml:4: task.forget = "branch": task.level says where branches begin: root, '
        "intermediate or leaf"
    ],
    ROME + 'relation = ""\n': [
        'x.toml:4: task.relation = "": must name a relation, or be left out'
    ],
    ROME + "scale = 5\nshare = 0.05\n": [
        "x.toml:5: task.share = 0.05: says how much is drawn, and so does task.scale = 5; leave "
        "one out"
    ],
    ROME + "share = 0.05\nsequence = 5\n": [
        "x.toml:4: task.share = 0.05: says how much is drawn, and so does task.sequence = 5; "
        "leave one out"
    ],
    ROME + "share = 0.2\n": [
        "x.toml:4: task.share = 0.2: draws have nothing in common, so there can be 5 at most; "
        "task.draws is 20"
    ],
    ROME + "share = 0\n": ["x.toml:4: task.share = 0: must be > 0"],
    ROME + "share = 5\n": ["x.toml:4: task.share = 5: must be <= 1"],
    ROME + "[graph]\nholdout = 1\n": [
        "x.toml:5: graph.holdout = 1: must be < 1: nothing would be left to ask for"
    ],
    # sequences
    ROME + "batch = 5\n": [
        "x.toml:4: task.batch = 5: is of a sequence; say task.sequence, how many facts it has, "
        "or leave batch out"
    ],
    ROME + "checkpoints = [5]\n": [
        "x.toml:4: task.checkpoints = [5]: is of a sequence; say task.sequence, how many facts "
        "it has, or leave checkpoints out"
    ],
    SEQUENCE + "scale = 10\n": [
        "x.toml:5: task.scale = 10: a sequence writes task.batch facts together; say batch, "
        "and leave scale out"
    ],
    SEQUENCE + "gold = 2\n": [
        "x.toml:5: task.gold = 2: gold models are of one change, and a sequence is many; leave "
        "gold or sequence out"
    ],
    SEQUENCE + "batch = 21\n": [
        "x.toml:5: task.batch = 21: must be <= sequence = 20, all its facts"
    ],
    SEQUENCE + "checkpoints = []\n": [
        "x.toml:5: task.checkpoints = []: must name one, or be left out"
    ],
    SEQUENCE + "checkpoints = [5, 2]\n": [
        "x.toml:5: task.checkpoints = [5, 2]: 2 after 5: must rise"
    ],
    SEQUENCE + "checkpoints = [5, 21]\n": [
        "x.toml:5: task.checkpoints = [5, 21]: 21 lies beyond sequence = 20"
    ],
    SEQUENCE + "batch = 3\ncheckpoints = [3, 10, 20]\n": [
        "x.toml:6: task.checkpoints = [3, 10, 20]: 10 ends no batch: must be a multiple of "
        "batch = 3"
    ],
    SEQUENCE + "checkpoints = 5\n": [
        "x.toml:5: task.checkpoints = 5: must be a list of whole numbers >= 1"
    ],
    ROME + "sequence = -1\n": ["x.toml:4: task.sequence = -1: must be >= 0"],
    # what is missing
    "": [
        'x.toml:1: name is missing: write name = "..." on top',
        "x.toml:1: task.method is missing; write it under [task] or [grid]: " + QUOTED,
    ],
    ROME + '[graph]\nsource = "counterfact"\n': [
        'x.toml:4: graph.path is missing: graph.source is "counterfact"'
    ],
    # unknown and misplaced names
    ROME + "sclae = 2\n": [
        "x.toml:4: no setting task.sclae; did you mean task.scale? "
        "task has kind, method, level, forget, relation, scale, share, draws, neutral, gold, "
        "sequence, batch, checkpoints"
    ],
    ROME + "nullspace = 0.1\n": [
        "x.toml:4: no setting task.nullspace; did you mean method.alphaedit.nullspace? "
        "task has kind, method, level, forget, relation, scale, share, draws, neutral, gold, "
        "sequence, batch, checkpoints"
    ],
    HEAD + '[task]\nmetod = "rome"\n': [
        "x.toml:3: no setting task.metod; did you mean task.method? "
        "task has kind, method, level, forget, relation, scale, share, draws, neutral, gold, "
        "sequence, batch, checkpoints"
    ],
    "facts = 10\n" + ROME: [
        "x.toml:1: no facts; did you mean graph.facts? there are name, question, seed, graph, "
        "model, task, probe, moments, method, grid, zip, when, exclude, finding"
    ],
    ROME + '[modle]\nrecipe = "tiny"\n': [
        "x.toml:4: no [modle]; did you mean [model]? there are name, question, seed, graph, "
        "model, task, probe, moments, method, grid, zip, when, exclude, finding"
    ],
    ROME + "[method.memmit]\nlr = 1\n": [
        f'x.toml:4: no method "memmit"; did you mean memit? there are {", ".join(METHODS)}'
    ],
    ROME + "[method]\nlr = 1\n": [
        "x.toml:5: method.lr: [method] holds only tables: write [method.rome]"
    ],
    ROME + "[task.grid]\nscale = [1]\n": [
        'x.toml:4: [task.grid] is no table: write axes as "task.scale" = [...] under [grid]'
    ],
    ROME + "[grid]\nscale = [3]\n": [
        "x.toml:5: no setting scale; did you mean task.scale? "
        'write the full name, such as "task.scale"'
    ],
    ROME + "[method.rome]\nlayrs = 1\n": [
        "x.toml:5: no setting method.rome.layrs; did you mean method.rome.layer? "
        "method.rome has units, preset, steps, lr, clamp, kl_weight, keep, weight_decay, "
        "stop_loss, contexts, moment_tokens, guard, layer, ridge, adjust"
    ],
    DPO + 'kind = "unlearn"\n[method.dpo]\nanswers = "none.txt"\n': [
        'x.toml:6: method.dpo.answers = "none.txt": no such file (none.txt)'
    ],
    NPO + "[method.npo]\nforget_weight = 0\nretain_weight = 0\n": [
        "x.toml:6: method.npo.forget_weight = 0: with retain_weight = 0 nothing is learnt, and "
        "the model stays what it is; one of the two must be > 0"
    ],
    NPO + "[method.npo]\nforget_weight = 0\nretain = 0\n": [
        "x.toml:6: method.npo.forget_weight = 0: with retain = 0 nothing is learnt, and the model "
        "stays what it is; one of the two must be > 0"
    ],
    NPO.replace("npo", "ga") + "[method.ga]\nforget_weight = 0\n": [  # whose default is 0, too
        "x.toml:6: method.ga.forget_weight = 0: with retain_weight = 0 nothing is learnt, and the "
        "model stays what it is; one of the two must be > 0"
    ],
    NPO + "[method.npo]\naccumulate = 64\n": [
        "x.toml:6: method.npo.accumulate = 64: must be <= batch, which is 32"
    ],
    NPO + "[method.npo]\nbatch = 8\naccumulate = 8\nwarmup = 31\n": [
        "x.toml:8: method.npo.warmup = 31: must be <= steps, which is 30"
    ],
    ROME + '[method.rome]\nkeep = "relation"\n': [
        'x.toml:5: method.rome.keep = "relation": must be "essence" or "relations"; '
        'did you mean "relations"?'
    ],
    ROME + '[method.rome]\nkl_weight = 0\nkeep = "relations"\n': [
        'x.toml:6: method.rome.keep = "relations": kl_weight is 0, which keeps nothing; raise '
        "it, or leave keep out"
    ],
    ROME + "[rome]\nlayer = 1\n": [
        "x.toml:4: no [rome]; did you mean [method.rome]? there are name, question, seed, "
        "graph, model, task, probe, moments, method, grid, zip, when, exclude, finding"
    ],
    '"task.scale" = 3\n' + ROME: [
        'x.toml:1: "task.scale" in quotes is one name: write scale under [task]'
    ],
    HEAD + 'task = "edit"\n': ["x.toml:2: task must be a table: write [task]"],
    ROME + "[when]\nif = {}\n": ["x.toml:4: when must be a list of tables: write [[when]]"],
    # wrong types and impossible values
    ROME + 'scale = "ten"\n': ['x.toml:4: task.scale = "ten": must be a whole number >= 1'],
    ROME + "gold = 1\n": [
        "x.toml:4: task.gold = 1: must be 0, or 2 and more: the unit of distance is that between "
        "two gold models"
    ],
    ROME + 'gold = 5\n[model]\nload = "org/name"\nrevision = "abc"\n': [
        "x.toml:4: task.gold = 5: gold models are trained by the recipe of the model, and "
        "model.load names one that exists; leave task.gold out, or name a model.recipe; models "
        "that you retrained go into model.gold"
    ],
    ROME + 'draws = 2\n[model]\nload = "org/name"\nrevision = "abc"\ngold = ["none"]\n': [
        "x.toml:8: model.gold: none holds no config.json with a *.safetensors beside it",
        "x.toml:8: model.gold: each folder was trained without one forget set; task.draws must "
        "be 1, and is 2",
    ],
    ROME + "scale = 1.5\n": ["x.toml:4: task.scale = 1.5: must be a whole number >= 1"],
    ROME + "scale = true\n": ["x.toml:4: task.scale = true: must be a whole number >= 1"],
    ROME + "scale = 0\n": ["x.toml:4: task.scale = 0: must be >= 1"],
    ROME + "scale = 2024-01-01\n": [
        "x.toml:4: task.scale = 2024-01-01: must be a whole number >= 1"
    ],
    ROME + "scale = {a = 1}\n": ["x.toml:4: task.scale = a table: must be a whole number >= 1"],
    ROME + f"scale = 0x{'f' * 80}\n": [
        "x.toml:4: task.scale = an integer of very many digits: must be <= 1000000000"
    ],
    ROME + "[method.rome]\nlr = nan\n": [
        "x.toml:5: method.rome.lr = nan: must be a number > 0"
    ],
    ROME + "[method.rome]\nlr = -1\n": ["x.toml:5: method.rome.lr = -1: must be > 0"],
    ROME + 'kind = "unlern"\n': [
        'x.toml:4: task.kind = "unlern": must be "edit" or "unlearn"; did you mean "unlearn"?'
    ],
    ROME + '[probe]\nkinds = ["efficacy", "paraphrases"]\n': [
        'x.toml:5: probe.kinds = ["efficacy", "paraphrases"]: must be a list of names out of '
        f"{', '.join(KINDS)}; "
        '"paraphrases" is none of them'
    ],
    ROME + "[probe]\nkinds = []\n": [
        f"x.toml:5: probe.kinds is empty; there are {', '.join(KINDS)}"
    ],
    HEAD + '[task]\nmethod = "memit"\n[method.memit]\nlayers = [1, 0]\n': [
        "x.toml:5: method.memit.layers must rise, each once: [1, 0]"
    ],
    "seed = -1\n" + ROME: ["x.toml:1: seed = -1: must be >= 0"],
    ROME.replace('"x"', '"a b/c"'): [
        'x.toml:1: name = "a b/c": must be made of letters, digits, - and _, at most 64, '
        "a letter or digit first"
    ],
    ROME.replace('"x"', "3"): ["x.toml:1: name = 3: must be a string"],
    "seed = [0, 1]\n" + ROME: [
        "x.toml:1: seed = [0, 1]: must be a whole number >= 0; a list here is one value: "
        'to vary it, write "seed" = [...] under [grid]'
    ],
    ROME + "[method.rome]\nlayer = 4\n": [
        "x.toml:5: method.rome.layer = 4: the model has layers 0 to 3"
    ],
    ROME.replace("rome", "memit") + "[method.memit]\nlayers = [0, 7]\n": [
        "x.toml:5: method.memit.layers = [0, 7]: the model has layers 0 to 3"
    ],
    # axes
    ROME + "scale = [1, 10]\n": [
        "x.toml:4: task.scale = [1, 10]: must be a whole number >= 1; a list here is one "
        'value: to vary it, write "task.scale" = [...] under [grid]'
    ],
    ROME + 'scale = 1\n[grid]\n"task.scale" = [1, 2]\n': [
        "x.toml:4: task.scale is given one value here; it is an axis, too (x.toml:6): "
        "keep one of the two"
    ],
    ROME + '[grid]\n"task.scale" = [1, 2]\n[[zip]]\n"task.scale" = [1]\n"task.draws" = [1]\n': [
        "x.toml:7: task.scale is an axis already (x.toml:5)"
    ],
    ROME + '[method.npo.grid]\nbeta = [1]\n[grid]\n"method.npo.beta" = [2]\n': [
        "x.toml:7: method.npo.beta is an axis already (x.toml:5)"
    ],
    ROME + '[[zip]]\n"task.scale" = [1, 2]\n"task.draws" = [1, 2, 3]\n': [
        "x.toml:6: zipped axes need as many values each: task.scale has 2, task.draws has 3"
    ],
    ROME + '[grid]\n"task.scale" = []\n': [
        "x.toml:5: task.scale has no values: give one, or leave the axis out"
    ],
    # a rule without its misspelt condition would leave out everything: that is not said
    ROME + '[[exclude]]\n"task.scael" = 1\n': [
        "x.toml:5: no setting task.scael; did you mean task.scale? "
        "task has kind, method, level, forget, relation, scale, share, draws, neutral, gold, "
        "sequence, batch, checkpoints"
    ],
    ROME + "[grid]\n": ["x.toml:4: [grid] is empty: name an axis, or leave the table out"],
    ROME + '[grid]\n"task.scale" = [1, 2, 1.0]\n': [
        "x.toml:5: task.scale has the value 1 twice"
    ],
    ROME + '[grid]\n"task.scale" = 3\n': [
        "x.toml:5: task.scale is an axis and needs a list of values, not 3"
    ],
    ROME + '[grid]\n"task.level" = [\n  "root",\n  "leef",\n]\n': [
        'x.toml:7: task.level = "leef": must be "any", "root", "intermediate" or "leaf"; '
        'did you mean "leaf"?'
    ],
    HEAD + '[method.memit.grid]\nlayers = [0]\n[grid]\n"task.method" = ["memit"]\n': [
        "x.toml:3: method.memit.layers = 0: must be a list of whole numbers >= 0 and < 1000; "
        "an axis of lists is a list of lists, such as [[0], [0, 1]]"
    ],
    # rules
    ROME + '[[when]]\nif = { "task.scale" = "> ten" }\nset = { "task.draws" = 3 }\n': [
        'x.toml:5: task.scale is compared with "> ten": '
        'a comparison needs a number, such as "> 10"'
    ],
    ROME + '[[when]]\nif = { "task.scale" = 1 }\nset = { "task.drawz" = 3 }\n': [
        "x.toml:6: no setting task.drawz; did you mean task.draws? "
        "task has kind, method, level, forget, relation, scale, share, draws, neutral, gold, "
        "sequence, batch, checkpoints"
    ],
    ROME + '[[when]]\nif = { "task.scale" = 1 }\n': [
        '"x.toml:4: [[when]] needs if and set: write if = { "task.scale" = "> 10" } and '
        'set = { "task.draws" = 3 }'.removeprefix('"')
    ],
    ROME + '[[when]]\nif = { "task.scale" = 1 }\nset = { "task.method" = "npo" }\n': [
        "x.toml:6: task.method decides which axes there are: [[when]] can't set it; use [grid]"
    ],
    ROME + '[[exclude]]\n"task.method" = "memmit"\n': [
        f'x.toml:5: task.method is compared with "memmit": must be {QUOTED}; did you mean '
        '"memit"?'
    ],
    ROME + '[[exclude]]\n"task.level" = "> leaf"\n': [
        'x.toml:5: task.level is compared with "> leaf": only numbers have an order; '
        'level must be "any", "root", "intermediate" or "leaf"'
    ],
    ROME + "[[exclude]]\n": ["x.toml:4: [[exclude]] is empty"],
    ROME + '[[exclude]]\n"task.method" = "rome"\n': [
        "x.toml:4: no trial is left: [[exclude]] takes out all 1"
    ],
    # what does not go together
    ROME + '[model]\nrecipe = "tiny"\nload = "gpt2"\n': [
        "x.toml:6: model.recipe and model.load exclude each other: train a model, or load one"
    ],
    ROME + '[model]\nload = "gpt2"\nsteps = 3\n': [
        "x.toml:6: model.steps belongs to a trained model, and this study has one that is "
        "loaded"
    ],
    ROME + '[model]\nload = "../nope/x"\n': [
        'x.toml:5: model.load = "../nope/x": no such folder, and no name on the hub'
    ],
    ROME + "[model]\nwidth = 100\n": ["x.toml:5: model.width must be a multiple of 32"],
    ROME + '[graph]\nsource = "counterfact"\npath = "no.json"\nfacts = 300\n': [
        'x.toml:6: graph.path = "no.json": no such file (no.json)',
        "x.toml:7: graph.facts belongs to the source synthetic or triples, and this study's is "
        "counterfact",
    ],
    ROME + 'level = "leaf"\n[graph]\nsource = "counterfact"\npath = "x.toml"\n': [
        'x.toml:4: task.level = "leaf": graph.source "counterfact" has no levels: leave it out'
    ],
    # TOML itself
    ROME + "[graph\n": [
        "x.toml:4: not TOML: Expected ']' at the end of a table declaration: [graph"
    ],
    ROME + "level = leaf\n": [
        "x.toml:4: not TOML: Invalid value: level = leaf (a value must be a number, true, "
        "false, a list, a date or a quoted string)"
    ],
    ROME + 'method = "npo"\n': [
        'x.toml:4: not TOML: Cannot overwrite a value: method = "npo" '
        "(the same name stands there twice)"
    ],
}


@pytest.mark.parametrize("text", ONE_EACH)
def test_each_mistake_has_its_line(tmp_path: Path, text: str) -> None:
    assert mistakes(written(tmp_path, text)) == ONE_EACH[text]


@pytest.mark.parametrize("aim", ["kind", "neutral"])
def test_abstaining_answers_go_with_abstaining(tmp_path: Path, aim: str) -> None:
    written(tmp_path, "I don't know.\n", "idk.jsonl")
    more, said = {
        "kind": ("edit", 'task.kind "edit"'),
        "neutral": ("prior", 'task.neutral "prior"'),
    }[aim]
    text = DPO + 'kind = "unlearn"\n[method.dpo]\nanswers = "idk.jsonl"\n'
    assert mistakes(written(tmp_path, text), f"task.{aim}={more}") == [
        "x.toml:6: method.dpo.answers: abstaining answers go with unlearning towards such "
        f'(task.kind "unlearn", task.neutral "abstain"), not with {said}'
    ]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
name = "x y"
[graph]
source = "counterfact"
path = "nowhere.json"
[task]
method = "rome"
sclae = 1
draws = 0
[grid]
"task.scale" = [1, "2"]
"seed" = []
[[exclude]]
"task.level" = "leef"
"""
    lines = mistakes(written(tmp_path, text), "probe.hops=-1", "model.recpie=tiny")
    starts = [line.split(": ")[0] for line in lines]
    assert starts == [
        *(f"x.toml:{number}" for number in (1, 4, 7, 8, 10, 11, 13)),
        "--set probe.hops=-1",
        "--set model.recpie=tiny",
    ]


def test_a_method_that_does_not_serve_the_task(tmp_path: Path) -> None:
    from ksmith.settings import METHODS, Rome

    class EditOnly(Rome):
        tasks: ClassVar[tuple[str, ...]] = ("edit",)

    path = written(tmp_path, ROME + 'kind = "unlearn"\n')
    assert read(path).points
    with pytest.raises(Exception, match=r":4: method rome serves edit, not unlearn$"):
        read(path, methods={**METHODS, "rome": EditOnly})


def test_notes_are_no_mistakes(tmp_path: Path) -> None:
    text = ROME + '[method.npo]\nbeta = 0.2\n[[exclude]]\n"task.scale" = 7\n'
    study = read(written(tmp_path, text))
    assert len(study.points) == 1
    assert [note.replace(f"{tmp_path}/", "") for note in study.notes] == [
        "settings of npo are given, but no trial uses it",
        "x.toml:6: this [[exclude]] meets no trial: task.scale = 7",
    ]


def test_one_weight_of_an_unlearner_may_be_0(tmp_path: Path) -> None:
    for weight in ("forget_weight", "retain_weight"):
        table = only(written(tmp_path, f"{NPO}[method.npo]\n{weight} = 0\n")).settings["method"]
        assert table[weight] == 0


def test_settings_of_sets_that_are_not_asked_about_are_left_out(tmp_path: Path) -> None:
    start = ROME + "[probe]\nmemory = false\n"
    given = f"{start}memory_gradients = true\nmemory_facts = 7\nmemory_tokens = 9\n"
    study = read(written(tmp_path, given))
    assert [note.replace(f"{tmp_path}/", "") for note in study.notes] == [
        f"x.toml:{line}: probe.{name} is left out: it is of sets that probe.memory asks about"
        for line, name in ((7, "memory_facts"), (8, "memory_tokens"), (6, "memory_gradients"))
    ]
    plain = read(written(tmp_path, start + "memory_facts = 100\n", "plain.toml"))  # the default
    assert plain.notes == [] and plain.points == study.points
    asked = written(tmp_path, given.replace("false", "true"), "asked.toml")
    assert "memory_gradients" not in " ".join(read(asked).notes)


def test_a_length_of_texts_that_are_not_written_so_far_is_left_out(tmp_path: Path) -> None:
    start = ROME + '[model]\nload = "gpt2"\n[probe]\nmemory = true\n'
    longer, usual = f"{start}memory_tokens = 50\n", written(tmp_path, start, "usual.toml")
    assert only(written(tmp_path, longer)).settings["probe"]["memory_tokens"] == 50
    for text, why in (
        (longer.replace('load = "gpt2"', ""), "a model that is trained here on statements"),
        (f"{longer}generate = false\n", "probe.generate is false"),
    ):
        study = read(written(tmp_path, text))
        (note,) = (note for note in study.notes if "memory_tokens" in note)
        assert ":8: probe.memory_tokens is left out: " in note and why in note
        assert "memory_tokens" not in study.points[0].settings["probe"]
    # The texts have a version of their own: trials of other texts keep their keys.
    version = nodes(only(usual))["before"].recipe["probe"]["by_itself"]
    assert version == 1
    recipe = written(tmp_path, start.replace('load = "gpt2"', ""))
    assert "by_itself" not in nodes(only(recipe))["trial"].recipe["probe"]
