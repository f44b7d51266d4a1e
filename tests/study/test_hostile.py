"""Whatever is given as a study file or as --set: a study, or one clear error, soon."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ksmith.records import StudyError
from ksmith.study import Study, nodes, read
from tests.study.files import ROME, mistakes, written

GOOD = """\
name = "x"
question = "why?"
seed = 1
[graph]
facts = 1000
[model]
recipe = "tiny"
[task]
draws = 20
[method.npo]
beta = 0.3
[method.memit.grid]
layers = [[0], [0, 1]]
[grid]
"task.method" = ["rome", "memit"]
"task.scale" = [1, 10]
[[zip]]
"graph.seed" = [0, 1]
"model.seed" = [0, 1]
[[when]]
if = { "task.scale" = "> 1" }
set = { "task.draws" = 3 }
[[exclude]]
"task.method" = "rome"
"task.scale" = 10
"""


def survives(path: Path, *overrides: str) -> Study | None:
    """Return the study, or None after an error of whole, printable lines."""
    try:
        study = read(path, overrides)
    except StudyError as error:
        lines = str(error).splitlines()
        assert lines
        assert all(line.startswith((str(path), "--set ")) for line in lines)
        str(error).encode()
        return None
    for point in study.points[:3]:
        nodes(point)
    return study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@given(st.binary(max_size=200))
def test_any_bytes(folder: Path, content: bytes) -> None:
    path = folder / "bytes.toml"
    path.write_bytes(content)
    survives(path)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_a_good_file_with_pieces_cut_out_and_doubled(folder: Path, data: st.DataObject) -> None:
    text = GOOD
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(start + 30, len(text))))
        middle = data.draw(
            st.sampled_from(["", text[start:end] * 2, "[", '"', "=", "nan", "é"])
        )
        text = text[:start] + middle + text[end:]
    survives(written(folder, text))


JUNK = st.recursive(
    st.none().map(lambda _: "nan")
    | st.integers(-(10**30), 10**30).map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.booleans().map(lambda value: str(value).lower())
    | st.text(max_size=5).map(lambda text: json.dumps(text).replace("\x7f", ""))
    | st.sampled_from(
        ["1979-05-27", "07:32:00", '"> 3"', '"rome"', "-inf", "0xffffffffffffffff"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(
            st.sampled_from(["task.scale", "if", "set", "rome", "grid", "lr", "task", "a"]),
            inner,
            max_size=3,
        ).map(lambda items: "{" + ", ".join(f'"{key}" = {items[key]}' for key in items) + "}")
    ),
    max_leaves=8,
)
PLACES = [
    "name",
    "question",
    "seed",
    "graph",
    "model",
    "task",
    "probe",
    "method",
    "grid",
    "zip",
    "when",
    "exclude",
    "method.rome",
    "method.npo.grid",
    "task.scale",
    "graph.path",
    "model.load",
    "model.lr",
    "probe.kinds",
    "grid.seed",
]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(PLACES), JUNK, max_size=4))
def test_any_values_anywhere(folder: Path, values: dict[str, str]) -> None:
    text = "".join(f"{name} = {value}\n" for name, value in values.items())
    survives(written(folder, text))
    survives(written(folder, ROME), *(f"{name}={value}" for name, value in values.items()))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=12) | st.sampled_from(PLACES), min_size=1, max_size=2), JUNK)
def test_any_override(folder: Path, parts: list[str], value: str) -> None:
    path = written(folder, GOOD)
    survives(path, ".".join(parts))
    survives(path, f"{'.'.join(parts)}={value}")
    survives(
        path, "model.load=" + parts[0], "graph.source=counterfact", "graph.path=" + parts[0]
    )


def test_what_is_no_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    for path, message in {
        tmp_path: "is a folder, not a study file",
        tmp_path / "none.toml": "no such study file",
        tmp_path / "a\0b.toml": "no such study file|null byte",
        tmp_path / ("a" * 300): "cannot be read",
        pipe: "no such study file",
        Path("/dev/zero"): "no such study file",
    }.items():
        with pytest.raises(StudyError, match=message) as raised:
            read(path)
        assert len(str(raised.value).splitlines()) == 1


def test_unreadable_file(tmp_path: Path) -> None:
    path = written(tmp_path, ROME)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    assert mistakes(path) == ["x.toml: cannot be read: Permission denied"]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b'name = "x"\n[task]\nmethod = "\xff"\n')
    assert mistakes(path) == ["x.toml:3: byte 0xff is not UTF-8 text"]


def test_windows_text_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbf" + ROME.replace("\n", "\r\n").encode() + b"sclae = 1\r\n")
    assert mistakes(path)[0].startswith("x.toml:4: no setting task.sclae;")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a" * 10_000_000, "x.toml: is larger than 1,000,000 bytes: not a study file"),
        (ROME + "a = " + "[" * 20_000, "x.toml:1: lists or tables nest too deeply"),
        (ROME + "scale = " + "9" * 5000, "x.toml:4: a number has too many digits"),
    ],
)
def test_too_much(tmp_path: Path, text: str, message: str) -> None:
    assert mistakes(written(tmp_path, text)) == [message]


def test_surrogates_from_the_command_line(tmp_path: Path) -> None:
    path = written(tmp_path, ROME)
    for text in ("model.load=a\udcff", "name=\udcff", "\udcff=1", "graph.path=\udcff"):
        assert len(mistakes(path, text)) == 1


def test_a_grid_of_1e18_is_refused_at_once(tmp_path: Path) -> None:
    values = list(range(1000))
    axes = {"seed": values, "graph.seed": values, "model.seed": values}
    lines = "".join(f'"{name}" = {items}\n' for name, items in axes.items())
    lines += "".join(f'"probe.{name}" = {values[1:]}\n' for name in ("hops", "sentences"))
    path = written(tmp_path, ROME + "[grid]\n" + lines)
    start = time.process_time()
    count = f"{1000**3 * 999**2:,}"
    assert mistakes(path) == [
        f"x.toml:4: the grid has {count} trials, more than 10,000; --allow-large allows more"
    ]
    with pytest.raises(StudyError, match=r"more than 1,000,000$"):
        read(path, allow_large=True)
    assert time.process_time() - start < 10
    excluding = written(tmp_path, ROME + "[grid]\n" + lines + "[[exclude]]\nseed = '> 0'\n")
    assert "trials before exclusions, more than" in mistakes(excluding)[0]


def test_a_large_grid_is_read_when_it_is_meant(tmp_path: Path) -> None:
    path = written(tmp_path, ROME + f"[grid]\nseed = {list(range(10_001))}\n")
    assert mistakes(path) == [
        "x.toml:4: the grid has 10,001 trials, more than 10,000; --allow-large allows more"
    ]
    assert len(read(path, allow_large=True).points) == 10_001


def test_pieces_are_shown_short(tmp_path: Path) -> None:
    long: Any = ["y" * 500] * 100
    path = written(tmp_path, ROME + f"scale = {json.dumps(long)}\n")
    (line,) = mistakes(path)
    assert len(line) < 800
