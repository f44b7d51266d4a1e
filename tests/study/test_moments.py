"""What second moments are measured on: files, known by content and checked before anything runs."""

from pathlib import Path

import pytest

from ksmith.records import file_digest
from ksmith.study import nodes, read
from tests.corpus import files as corpora
from tests.corpus.test_statistics import public
from tests.study.files import HEAD, ROME, keys, mistakes, only, written
from tests.study.test_known import XL
from tests.study.test_known import folder as model_in

LOADED = HEAD + '[model]\nload = "gpt2"\n[task]\nmethod = "rome"\n'


def test_a_corpus_is_its_content_and_how_it_is_read(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        corpora.written(tmp_path / folder, "jsonl")
    text = ROME + '[moments]\ncorpus = "{}"\n'
    point = only(written(tmp_path, text.format("a/corpus.jsonl")))
    path = tmp_path / "a" / "corpus.jsonl"
    assert point.files == {"moments.corpus": str(path)}
    table = {"corpus": file_digest(path), "kind": "jsonl", "column": "text", "length": 1024}
    assert point.settings["moments"] == table
    node = nodes(point)["moments"]
    assert node.recipe == {"moments": {"version": 1, "tokens": 40_000, **table}}
    assert node.files == point.files
    other = only(written(tmp_path, text.format("b/corpus.jsonl")))
    assert keys(other) == keys(point)
    said = text.format("b/corpus.jsonl") + 'column = "text"\nlength = 1024\n'
    assert keys(only(written(tmp_path, said))) == keys(point)
    (tmp_path / "b" / "corpus.jsonl").rename(tmp_path / "b" / "corpus.txt")
    lines = only(written(tmp_path, text.format("b/corpus.txt")))
    assert keys(lines)["moments"] != keys(point)["moments"]


def test_the_graphs_own_text_is_the_default(tmp_path: Path) -> None:
    plain = only(written(tmp_path, ROME))
    assert plain.settings["moments"] == {}
    said = only(written(tmp_path, ROME + '[moments]\ncorpus = "graph"\n'))
    assert keys(said) == keys(plain)
    recipe = nodes(plain)["moments"].recipe
    assert recipe == {"moments": {"version": 1, "tokens": 40_000}}


def test_a_loaded_models_moments_on_a_text_are_nothing_of_the_graphs(tmp_path: Path) -> None:
    corpora.written(tmp_path, "txt")
    text = LOADED + '[moments]\ncorpus = "corpus.txt"\n'
    one = only(written(tmp_path, text))
    two = only(written(tmp_path, text + "[graph]\nseed = 2\n", "y.toml"))
    assert keys(one)["model"] != keys(two)["model"]
    assert keys(one)["moments"] == keys(two)["moments"]
    node = nodes(one)["moments"]
    assert node.needs == {}
    assert node.recipe["model"] == {"load": "gpt2", "revision": "main", "dtype": "float32"}
    assert nodes(only(written(tmp_path, LOADED)))["moments"].needs.keys() == {"graph", "model"}
    # A document is plain text, however prompts are put.
    chat = only(written(tmp_path, text), "model.template=chat", "model.system=Be short.")
    assert keys(chat)["model"] != keys(one)["model"]
    assert keys(chat)["moments"] == keys(one)["moments"]
    half = only(written(tmp_path, text), "model.dtype=bfloat16")
    assert keys(half)["moments"] != keys(one)["moments"]


def test_methods_without_second_moments_do_not_ask(tmp_path: Path) -> None:
    text = HEAD + '[task]\nmethod = "ft_l"\n[grid]\n"moments.layers" = [[0], [1]]\n'
    (point,) = read(written(tmp_path, text)).points
    assert point.settings["moments"] == {}


@pytest.mark.parametrize(
    ("method", "settings", "measured", "wrong"),
    [
        ("rome", "", "[77]", "the model has layers 0 to 3"),
        ("rome", "layer = 1", "[1, 4]", "the model has layers 0 to 3"),
        ("rome", "layer = 1", "[0, 2]", "rome edits layer 1, of which it needs the second "),
        ("memit", "layers = [1, 2]", "[0, 1]", "memit edits layer 2, of which it needs the "),
        ("rome", "layer = 1\nadjust = false", "[0, 2]", ""),
        ("memit", "layers = [1, 2]", "[0, 1, 2]", ""),
        ("memit", "", "[0]", ""),  # the trace says which: a worker knows
    ],
)
def test_layers_without_moments_are_found_before_anything_runs(
    tmp_path: Path, method: str, settings: str, measured: str, wrong: str
) -> None:
    text = HEAD + f'[task]\nmethod = "{method}"\n[model]\nlayers = 4\n[moments]\n'
    path = written(tmp_path, text + f"layers = {measured}\n[method.{method}]\n{settings}\n")
    if wrong:
        (line,) = mistakes(path)
        assert line.startswith(f"x.toml:7: moments.layers = {measured}: {wrong}")
    else:
        only(path)


def test_layers_of_a_known_model_need_moments_too(tmp_path: Path) -> None:
    xl = model_in(tmp_path / "xl", XL)
    path = written(tmp_path, ROME + f'[model]\nload = "{xl}"\n[moments]\nlayers = [16]\n')
    (line,) = mistakes(path)
    assert line.startswith("x.toml:7: moments.layers = [16]: rome edits layer 17, of which")
    assert only(path, "moments.layers=[17]").settings["moments"] == {"layers": [17]}


def test_statistics_are_their_content_under_their_names(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        public(tmp_path / folder / "layer.0.npz")
        (tmp_path / folder / "README").write_text(folder)
    text = LOADED + '[moments]\nnpz = "{}"\n'
    one, two = (only(written(tmp_path, text.format(name))) for name in ("a", "b"))
    assert keys(one) == keys(two)
    assert one.files == {"moments.npz": str(tmp_path / "a")}
    assert "tokens" not in nodes(one)["moments"].recipe["moments"]
    more = "method.rome.moment_tokens=7"
    assert (
        keys(only(written(tmp_path, text.format("a")), more))["moments"]
        == (keys(one)["moments"])
    )
    (tmp_path / "b" / "layer.0.npz").rename(tmp_path / "b" / "layer.1.npz")
    renamed = only(written(tmp_path, text.format("b")))
    assert keys(renamed)["moments"] != keys(one)["moments"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('corpus = "no.txt"', 'moments.corpus = "no.txt": no such file ('),
        ('corpus = "."', 'moments.corpus = ".": is no file ('),
        ('corpus = "bad.txt"', 'moments.corpus = "bad.txt": line 2: not UTF-8 (byte 0xff)'),
        ('corpus = "empty.txt"', 'moments.corpus = "empty.txt": no documents in it'),
        ('corpus = "x.csv"', 'moments.corpus = "x.csv": not a kind of file that is read ('),
        (
            'corpus = "corpus.parquet"\ncolumn = "body"',
            "moments.corpus = \"corpus.parquet\": no column 'body'; there are id, text",
        ),
        (
            'corpus = "corpus.parquet"\ncolumn = "id"',
            "moments.corpus = \"corpus.parquet\": column 'id' holds int64, not texts; texts are "
            "in text",
        ),
        ("length = 100", "moments.length means nothing for the graph's own text"),
        ("length = 0", "moments.length = 0: must be >= 8"),
        ("layers = [1, 0]", "moments.layers must rise, each once: [1, 0]"),
        (
            'npz = "stats"\ncorpus = "corpus.parquet"',
            "moments.corpus means nothing where npz names statistics",
        ),
        ('npz = "nowhere"', 'moments.npz = "nowhere": no such folder'),
        ('npz = "."', 'moments.npz = ".": no *.npz file in it'),
        (
            'npz = "stats"',
            'moments.npz = "stats": x.npz: no statistics: File is not a zip file',
        ),
    ],
)
def test_mistakes_are_found_before_anything_runs(
    tmp_path: Path, settings: str, message: str
) -> None:
    (tmp_path / "bad.txt").write_bytes(b"good\nbad \xff\n")
    for name in ("empty.txt", "x.csv"):
        (tmp_path / name).touch()
    corpora.written(tmp_path, "parquet")
    (tmp_path / "stats").mkdir()
    (tmp_path / "stats" / "x.npz").write_bytes(b"no zip")
    (line,) = mistakes(written(tmp_path, ROME + f"[moments]\n{settings}\n"))
    where, _, text = line.partition(": ")
    assert text.startswith(message)
    assert where.startswith("x.toml:")
