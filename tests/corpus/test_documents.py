"""Documents of every kind of file: the same ones, from anywhere, and clear about what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmith.corpus import Corpus, check_text, documents, find
from ksmith.corpus.documents import LONGEST
from ksmith.records import UserError
from tests.corpus.files import TEXTS, parquet, written

KINDS = ("txt", "jsonl", "parquet")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_documents_of_every_kind(tmp_path: Path, kind: str) -> None:
    corpus = find(written(tmp_path, kind))
    assert [document.text for document in documents(corpus)] == TEXTS


@pytest.mark.parametrize("kind", KINDS)
def test_reading_goes_on_after_each_document(tmp_path: Path, kind: str) -> None:
    corpus = find(written(tmp_path, kind))
    for i, document in enumerate(documents(corpus)):
        rest = [later.text for later in documents(corpus, document.after)]
        assert rest == TEXTS[i + 1 :]


@pytest.mark.parametrize("kind", ["txt", "jsonl"])
def test_lines_are_counted_on_where_reading_goes_on(tmp_path: Path, kind: str) -> None:
    corpus = find(written(tmp_path, kind))
    second = list(documents(corpus))[1]
    with corpus.path.open("ab") as file:
        file.write(b"\n\xff\n")
    bad = corpus.path.read_bytes().count(b"\n")
    with pytest.raises(UserError, match=f"^line {bad}: not UTF-8"):
        list(documents(corpus, second.after))


def test_of_a_long_line_the_beginning_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("🦊" * LONGEST + "\nnext\n", encoding="utf-8")
    first, second = documents(find(path))
    assert first.text == "🦊" * (LONGEST // 4)
    assert second.text == "next"


@pytest.mark.parametrize(
    ("columns", "column", "chosen"),
    [
        ({"title": ["a"], "text": ["b"]}, None, "text"),
        ({"id": [1], "body": ["b"]}, None, "body"),
        ({"title": ["a"], "text": ["b"]}, "title", "title"),
    ],
)
def test_column_that_is_read(
    tmp_path: Path, columns: dict[str, Any], column: str | None, chosen: str
) -> None:
    assert find(parquet(tmp_path / "x.parquet", columns), column).column == chosen
    line = json.dumps({name: values[0] for name, values in columns.items()})
    (tmp_path / "x.jsonl").write_text(line, encoding="utf-8")
    assert find(tmp_path / "x.jsonl", column).column == chosen


PARQUET: list[tuple[dict[str, Any], str | None, str]] = [
    ({"id": [1], "text": ["a"]}, "txt", "no column 'txt'; there are id, text"),
    ({"id": [1], "a": ["a"], "b": ["b"]}, None, "which column is the text? texts are in a, b"),
    ({"id": [1], "a": ["a"]}, "id", "column 'id' holds int64, not texts; texts are in a"),
    ({"id": [1]}, None, "which column is the text? no column holds texts"),
    ({"text": [None, ""]}, None, "no documents in it"),
]


@pytest.mark.parametrize(("columns", "column", "message"), PARQUET)
def test_mistakes_in_parquet(
    tmp_path: Path, columns: dict[str, Any], column: str | None, message: str
) -> None:
    import pyarrow as pa

    if message == "no documents in it":
        columns = {"text": pa.array(columns["text"], pa.string())}
    path = parquet(tmp_path / "x.parquet", columns)
    with pytest.raises(UserError) as raised:
        find(path, column)
    assert str(raised.value) == message


@pytest.mark.parametrize("before", [0, 700])
def test_texts_in_parquet_that_are_none(tmp_path: Path, before: int) -> None:
    import pyarrow as pa

    texts = [b"good"] * before + [b"bad \xff"]
    bare = pa.array(texts, pa.binary())
    column = pa.StringArray.from_buffers(len(texts), *bare.buffers()[1:])
    path = parquet(tmp_path / "x.parquet", {"text": column}, group=500)
    with pytest.raises(UserError, match=rf"^row {before + 1}: 'text' is not UTF-8 \(byte 0xff"):
        list(documents(find(path)))


@pytest.mark.parametrize(
    ("name", "content", "column", "message"),
    [
        ("x.parquet", b"PAR1 no", None, "not a Parquet file that can be read"),
        ("x.csv", b"a,b", None, r"not a kind of file that is read \(.txt, "),
        ("x.txt", b"", None, "no documents in it"),
        ("x.txt", b" \n\t\n", None, "no documents in it"),
        ("x.txt", b"a", "text", "a text file has no columns"),
        ("x.jsonl", b"\n", None, "no documents in it"),
        ("x.jsonl", b'{"a": 1}', None, "no column holds texts"),
        ("x.jsonl", b"[1]", None, "line 1: a list, not an object"),
        ("x.jsonl", b'{"text": "a"', None, "line 1: not JSON"),
        ("x.jsonl", b"[" * 100_000, None, "line 1: not JSON"),
        ("x.jsonl", b'{"text": "\\ud800"}', None, "line 1: 'text' holds half of a surrogate"),
    ],
)
def test_mistakes_in_the_first_document(
    tmp_path: Path, name: str, content: bytes, column: str | None, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        find(tmp_path / name, column)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"other": "a"}', "line 2: no field 'text'; there are other"),
        ('{"text": 3}', "line 2: 'text' holds a number, not a text"),
        ("nonsense", "line 2: not JSON"),
    ],
)
def test_mistakes_in_a_later_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f'{{"text": "a"}}\n{line}\n', encoding="utf-8")
    with pytest.raises(UserError, match=message):
        list(documents(find(path)))


@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=200))
def test_a_bad_line_is_found_where_python_finds_it(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(content)
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        with pytest.raises(UserError, match=f"^line {line}: not UTF-8"):
            check_text(path)
    else:
        check_text(path)


def test_a_bad_line_far_into_a_file(tmp_path: Path) -> None:
    path = tmp_path / "big.txt"
    path.write_bytes("ł\n".encode() * 700_000 + b"\xc5")  # letters lie across the chunks
    with pytest.raises(UserError, match=r"^line 700001: not UTF-8"):
        check_text(path)
    assert isinstance(find(path), Corpus)
