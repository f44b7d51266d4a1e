"""The line of every key, against `tomllib` on random TOML of all shapes."""

import json
import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ksmith.study.places import Path, places

KEYS = st.text("abcDE_-1", min_size=1, max_size=4) | st.text(max_size=5)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)
SCALARS = st.integers(-99, 99) | st.booleans() | WORDS | st.floats(allow_nan=False)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=4)


class Writer:
    """Writes TOML in a style drawn at random, and notes the line of what it writes."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.text = ""
        self.lines: dict[Path, int] = {}

    def pick(self, *options: str) -> str:
        return self.data.draw(st.sampled_from(options))

    def note(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def key(self, key: str) -> str:
        bare = key.isascii() and key.replace("_", "a").replace("-", "a").isalnum()
        forms = [key] * bare + [string(key)]
        if key.isprintable() and "'" not in key:
            forms.append(f"'{key}'")
        return self.pick(*forms)

    def pair(self, path: Path, key: str, value: Any) -> None:
        self.note((*path, key))
        self.text += self.key(key) + self.pick("=", " = ")
        self.value((*path, key), value)

    def value(self, path: Path, value: Any) -> None:
        if isinstance(value, dict):
            self.text += "{"
            for number, (key, item) in enumerate(value.items()):
                self.text += ", " if number else self.pick("", " ")
                self.pair(path, key, item)
            self.text += "}"
        elif isinstance(value, list):
            self.items(path, value)
        elif isinstance(value, str):
            self.text += self.string(value)
        else:
            self.text += real(value) if isinstance(value, float) else json.dumps(value)

    def items(self, path: Path, value: list[Any]) -> None:
        gaps = ("", " ", "\n", "\n  # ] , ' \"\n", "\n\n")
        self.text += "[" + self.pick(*gaps)
        for index, item in enumerate(value):
            self.note((*path, index))
            self.value((*path, index), item)
            last = index == len(value) - 1
            self.text += self.pick(*gaps) + ("," if not last else self.pick("", ","))
            self.text += self.pick(*gaps)
        self.text += "]"

    def string(self, value: str) -> str:
        plain = value.replace("\n", "").isprintable()
        forms = [string(value)]
        if plain and "'" not in value:
            forms += [f"'{value}'"] * ("\n" not in value) + [f"'''\n{value}'''"]
        if plain and "\\" not in value and '""' not in value:
            forms.append(f'"""\n{value}"""')  # also one that ends with a quote
        return self.pick(*forms)


def string(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def real(value: float) -> str:
    return {"inf": "+inf", "-inf": "-inf"}.get(repr(value), repr(value))


def paths(value: Any, at: Path = ()) -> set[Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found: set[Path] = {at} - {()}
    for key, item in items:
        found |= paths(item, (*at, key)) if isinstance(item, dict | list) else {(*at, key)}
    return found


@settings(deadline=None)
@given(
    st.data(), TABLES, st.dictionaries(KEYS, TABLES, max_size=3), st.lists(TABLES, max_size=3)
)
def test_every_key_is_found_on_its_line(
    data: st.DataObject,
    top: dict[str, Any],
    tables: dict[str, dict[str, Any]],
    listed: list[dict[str, Any]],
) -> None:
    writer = Writer(data)
    for key, value in top.items():
        writer.pair((), key, value)
        writer.text += writer.pick("\n", " # [x]\n\n")
    for key, table in tables.items():
        if key in top:
            continue
        writer.note((key,))
        writer.text += f"[{writer.key(key)}]" + writer.pick("\n", "# a = 1\n")
        for name, value in table.items():
            writer.pair((key,), name, value)
            writer.text += "\n"
    if "when" not in {*top, *tables}:
        for index, table in enumerate(listed):
            writer.note(("when",))
            writer.note(("when", index))
            writer.text += "[[" + writer.pick("when", " when ") + "]]\n"
            for name, value in table.items():
                writer.pair(("when", index), name, value)
                writer.text += "\n"
    assert places(writer.text) == writer.lines
    assert set(writer.lines) == paths(tomllib.loads(writer.text))


def test_dotted_keys_and_tables_of_lists() -> None:
    text = """\
[method.npo.grid]
beta = [0.05,
  0.1]

[[zip]]
task . "scale" = [1]
[[zip]]
[zip.inner]
'x.y' = 1
"""
    assert places(text) == {
        ("method",): 1,
        ("method", "npo"): 1,
        ("method", "npo", "grid"): 1,
        ("method", "npo", "grid", "beta"): 2,
        ("method", "npo", "grid", "beta", 0): 2,
        ("method", "npo", "grid", "beta", 1): 3,
        ("zip",): 5,
        ("zip", 0): 5,
        ("zip", 0, "task"): 6,
        ("zip", 0, "task", "scale"): 6,
        ("zip", 0, "task", "scale", 0): 6,
        ("zip", 1): 7,
        ("zip", 1, "inner"): 8,
        ("zip", 1, "inner", "x.y"): 9,
    }


def test_strings_hide_what_looks_like_toml() -> None:
    text = 'a = """\n[b]\nc = 1 \\"\\"\\" # "\n""""\nd = \'\'\'\n[e]\'\'\'\'\'\nf = "\\"[g]"\n'
    assert places(text) == {("a",): 1, ("d",): 5, ("f",): 7}
    assert list(tomllib.loads(text)) == ["a", "d", "f"]


def test_deep_nesting_gives_up_quietly() -> None:
    text = "a = 1\nb = " + "[" * 100_000 + "]" * 100_000
    assert places(text)[("a",)] == 1
