"""A graph's data files: known by content, wherever they lie; the second one may be left out."""

from pathlib import Path

from ksmith.records import file_digest
from tests.study.files import HEAD, keys, mistakes, only, written

GRAPH = HEAD + '[task]\nmethod = "rome"\n[graph]\nsource = "triples"\npath = "{}"\n'


def test_a_second_data_file_is_known_by_content(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder, "x", "facts.csv")
        written(tmp_path / folder, "{}", "words.json")
    text = GRAPH.format("a/facts.csv") + 'templates = "a/words.json"\n'
    point = only(written(tmp_path, text))
    words = tmp_path / "a" / "words.json"
    assert point.files["graph.templates"] == str(words)
    assert point.settings["graph"]["templates_digest"] == file_digest(words)
    assert not {"path", "templates"} & point.settings["graph"].keys()
    moved = text.replace("a/", "b/")
    assert keys(only(written(tmp_path, moved, "y.toml"))) == keys(point)
    written(tmp_path / "b", '{"r": []}', "words.json")
    assert keys(only(written(tmp_path, moved, "y.toml")))["graph"] != keys(point)["graph"]
    without = only(written(tmp_path, GRAPH.format("a/facts.csv"), "z.toml"))
    assert keys(without)["graph"] != keys(point)["graph"]
    assert "templates_digest" not in without.settings["graph"]
    assert list(without.files) == ["graph.path"]


def test_a_second_data_file_that_is_not_there(tmp_path: Path) -> None:
    written(tmp_path, "x", "facts.csv")
    text = GRAPH.format("facts.csv") + 'templates = "words.json"\n'
    (line,) = mistakes(written(tmp_path, text))
    assert line.startswith('x.toml:7: graph.templates = "words.json": no such file')


def test_all_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    text = (
        HEAD + '[task]\nmethod = "rome"\n[graph]\nsource = "qa"\nforget = "a"\nretain = "b"\n'
    )
    found = mistakes(written(tmp_path, text))
    assert [line.partition(": no such")[0] for line in found] == [
        'x.toml:6: graph.forget = "a"',
        'x.toml:7: graph.retain = "b"',
    ]


def test_one_word_stands_for_a_list_of_rules(tmp_path: Path) -> None:
    written(tmp_path, "x", "facts.csv")
    plain = keys(only(written(tmp_path, GRAPH.format("facts.csv"))))
    for rules in ('"mined"', '["mined"]'):
        text = GRAPH.format("facts.csv") + f"rules = {rules}\n"
        assert keys(only(written(tmp_path, text, "y.toml"))) == plain
    text = GRAPH.format("facts.csv") + 'rules = "none"\n'
    assert keys(only(written(tmp_path, text, "y.toml"))) != plain


def test_settings_of_levels_and_rules_that_do_not_go_together(tmp_path: Path) -> None:
    written(tmp_path, "x", "facts.csv")
    for text, message in {
        'rules = ["mined", "r(a, b) -> q(b, a)"]': 'rules is a list of rules, or "mined" alone',
        'levels = "none"\nhierarchy = "r"': 'hierarchy means nothing where levels is "none"',
        'centrality = "pagerank"': 'centrality means nothing where levels is "depth"',
    }.items():
        (line,) = mistakes(written(tmp_path, GRAPH.format("facts.csv") + text))
        assert message in line
