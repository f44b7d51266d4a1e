"""A file of facts: what is read, and what is said of one that can't be."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ksmith.graph import triple_file
from ksmith.graph.triple_file import LONGEST_LINE, Row, read
from ksmith.records import UserError

Put = Callable[..., Path]

HEAD = "subject,relation,object\n"
XML = (
    '<?xml version="1.0"?>{}<graphml xmlns="http://graphml.graphdrawing.org/xmlns">{}</graphml>'
)
KEYS = (
    '<key id="d0" for="node" attr.name="label" attr.type="string"/>'
    '<key id="d1" for="edge" attr.name="relation" attr.type="string"/>'
)


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def written(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


def said(path: Path, **columns: str) -> str:
    """Return the error, without the folder."""
    with pytest.raises(UserError) as raised:
        read(path, columns)
    return str(raised.value).replace(f"{path.parent}/", "")


def triples(rows: list[Row]) -> list[tuple[str, str, str]]:
    return [(row.subject, row.relation, row.object) for row in rows]


FACTS = [("Ada", "mother", "Bea"), ("Bea", "likes, a lot", 'The "Blue" Inn')]
QUOTED = 'Ada{0}mother{0}Bea\nBea{0}"likes, a lot"{0}"The ""Blue"" Inn"\n'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", HEAD + QUOTED.format(",")),
        ("x.csv", ("subject;relation;object\n" + QUOTED.format(";"))),
        ("x.tsv", "head\tpredicate\ttail\n" + QUOTED.format("\t")),
        ("x.txt", "Object|Subject|Relation\nBea|Ada|mother\n"
                  '"The ""Blue"" Inn"|Bea|likes, a lot\n'),
        ("x.csv", "\ufeff" + HEAD + QUOTED.format(",")),  # a byte order mark
        ("x.csv", (HEAD + QUOTED.format(",")).replace("\n", "\r\n")),
        ("x.csv", "\n" + HEAD + "\n" + QUOTED.format(",") + "\n\n"),
        ("x.jsonl", "\n".join(json.dumps({"s": s, "p": p, "o": o}) for s, p, o in FACTS)),
    ],
)  # fmt: skip
def test_the_same_facts_in_many_forms(put: Put, name: str, text: str) -> None:
    if text.startswith("\n"):
        text = text.lstrip("\n")  # a header is the first line; blank ones may follow
    assert triples(read(put(name, text))) == FACTS


def test_ids_types_and_named_columns(put: Put) -> None:
    text = "who_id,who,knows,whom,whom_type\nQ1,Ada,sister,Bea,person\n"
    row = read(put("x.csv", text), {"subject": "who", "relation": "Knows", "object": "whom"})[0]
    assert row == Row(2, "Ada", "sister", "Bea", "Q1", None, None, None, "person")


def test_two_columns_say_one_relation(put: Put) -> None:
    rows = read(put("x.csv", "athlete,sport\nWalter Payton,football\n"))
    assert triples(rows) == [("Walter Payton", "sport", "football")]


def test_graphml(put: Put) -> None:
    body = (
        f'{KEYS}<graph><node id="n0"><data key="d0">Ada &amp; Co</data></node><node id="n1"/>'
        '<edge source="n0" target="n1">\n<data key="d1">owns</data></edge></graph>'
    )
    (row,) = read(put("x.graphml", XML.format("", body)))
    assert (row.subject, row.relation, row.object) == ("Ada & Co", "owns", "n1")
    assert (row.subject_id, row.object_id) == ("n0", "n1")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", HEAD + "a,b,c\nd,e\n", "line 3, column 3: 2 columns where the header has 3"),
        ("x.csv", HEAD + "a,b,c,d\n", "line 2, column 4: 4 columns where the header has 3"),
        ("x.csv", "Ada,mother,Bea\n", 'x.csv: line 1: no column for the subject: name it by '
         'graph.subject_column; the header has "Ada", "mother", "Bea"'),
        ("x.csv", HEAD + "a, ,c\n", 'x.csv: line 2, column 2 ("relation"): empty'),
        ("x.csv", HEAD + "a,b," + "c" * 2000 + "\n",
         'x.csv: line 2, column 3 ("object"): a name of 2,000 characters'),
        ("x.csv", HEAD + 'a,b,"c\n' + "d,e,f\n" * 30_000, "x.csv: line 2: field larger than field "
         "limit (131072) (a quote that is not closed?)"),
        ("x.csv", HEAD + 'a,b,c\nd,e,"f\ng,h,i\n', "x.csv: line 3: unexpected end of data "
         "(a quote that is not closed?)"),
        ("x.csv", HEAD + 'a,b,"c"d\n', "x.csv: line 2: ',' expected after '\"'"),
        ("x.csv", HEAD + "a,b\0,c\n", "x.csv: line 2, column 4: a null byte: not text"),
        ("x.csv", HEAD + "a,b\x1b[31m,c\n",
         'x.csv: line 2, column 2 ("relation"): the character U+001B is no part of a name'),
        ("x.csv", HEAD.encode() + b"a,b,\xe9t\xe9\n", "line 2, column 5: not UTF-8 (byte 0xe9)"),
        ("x.csv", (HEAD + "a,b,c").encode("utf-16"), "line 1, column 1: UTF-16, not UTF-8: "
         "save the file as UTF-8"),
        ("x.csv", HEAD.replace("\n", "\r") + "a,b,c\r", "x.csv: line 1: a line ends with a "
         "carriage return alone: save the file with LF or CRLF"),
        ("x.csv", "subject,relation,object,Object\na,b,c,d\n", "x.csv: line 1: two columns are "
         'called "object"; the header has "subject", "relation", "object", "Object"'),
        ("x.csv", HEAD, "x.csv: no facts in it"),
        ("x.csv", "", "x.csv: no facts in it"),
        ("x.jsonl", '{"s": "a", "p": "b", "o": "c"}\n{"s": "a",\n',
         "x.jsonl: line 2, column 11: not JSON"),
        ("x.jsonl", '["a", "b", "c"]\n', "x.jsonl: line 1: an object is needed, not"),
        ("x.jsonl", '{"s": "a", "p": "b", "o": "c"}\n{"s": "a", "p": "b"}\n',
         'x.jsonl: line 2: the object has no "o"'),
        ("x.jsonl", '{"s": "a", "p": "b", "o": null}\n',
         'x.jsonl: line 1, column 3 ("o"): a text is needed, not null'),
        ("x.jsonl", '{"s": "a", "p": "b", "o": "\\ud800"}\n',
         'x.jsonl: line 1, column 3 ("o"): the character U+D800 is no part of a name'),
        ("x.jsonl", '{"s": "a", "s": "b", "p": "c", "o": "d"}\n',
         'x.jsonl: line 1: not JSON: "s" is there twice'),
        ("x.jsonl", "[" * 200_000 + "\n", "x.jsonl: line 1: not JSON"),
        ("x.graphml", "<graphml><node", "x.graphml: line 1, column 10: unclosed token"),
        ("x.graphml", XML.format("", "<graph><edge source='a'/></graph>"),
         "an edge without source or target"),
        ("x.graphml", XML.format("", "<graph><node id='a'/><edge source='a' target='a'/></graph>"),
         "line 1: an edge without data for its relation"),
        ("x.graphml", XML.format("", "<graph><edge source='a' target='b'>"
         "<data key='relation'>r</data></edge></graph>"), "edge to a node that is not there: 'a'"),
        ("x.graphml", XML.format("", ""), "x.graphml: no edges in it"),
        ("x.xlsx", "", "x.xlsx: not a kind of file that is read (.csv, .tsv"),
    ],
)  # fmt: skip
def test_one_clear_error(put: Put, name: str, text: str | bytes, message: str) -> None:
    assert message in said(put(name, text))


def test_a_column_that_is_not_there(put: Put) -> None:
    path = put("x.csv", "who,knows,whom\nAda,sister,Bea\n")
    assert said(path, subject="name") == (
        'x.csv: line 1: no column "name" (graph.subject_column); the header has "who", "knows", '
        '"whom"'
    )


def test_a_column_that_another_has_taken(put: Put) -> None:
    path = put("x.csv", "Subject,Relation,Object\nAda,sister,Bea\n")
    assert (
        'no column for the object, as graph.subject_column has "Object": name it by '
        "graph.object_column; the header has"
    ) in said(path, subject="Object")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "no such file" in said(tmp_path / "x.csv")
    (tmp_path / "y.csv").mkdir()
    assert "a folder, not a file" in said(tmp_path / "y.csv")


def test_what_can_be_read_once_is_no_file(tmp_path: Path) -> None:
    """A pipe that nobody writes to would be waited for without end."""
    path = tmp_path / "x.csv"
    os.mkfifo(path)
    assert said(path) == "graph.path: a pipe or a device, not a file: x.csv"


BOMB = "<!DOCTYPE x [{}]>".format(
    '<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
)


@pytest.mark.parametrize(
    "doctype",
    [BOMB, '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>',
     '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">', "<!DOCTYPE graphml>"],
)  # fmt: skip
def test_document_types_and_entities_are_refused(put: Put, doctype: str) -> None:
    body = f"{KEYS}<graph><node id='a'><data key='d0'>&a9;&e;</data></node></graph>"
    start = time.process_time()
    message = said(put("x.graphml", XML.format(doctype, body)))
    assert message.startswith("x.graphml: line 1, column ")
    assert ": a document type or entity: refused" in message
    assert time.process_time() - start < 1


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl"])
def test_a_line_without_end_is_never_read_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(HEAD.encode())
        file.truncate(1 << 30)  # a gigabyte of null bytes that takes no room on the disk
    start = time.process_time()
    assert said(path).startswith(f"{name}: line {2 if name == 'x.csv' else 1}")
    assert time.process_time() - start < 1


def test_a_tag_without_end_is_never_read_whole(put: Put) -> None:
    body = f"<graph><node id='{'x' * 3 * LONGEST_LINE}'/></graph>"
    assert "a tag longer than" in said(put("x.graphml", XML.format("", body)))
    body = f"{KEYS}<graph><node id='a'><data key='d0'>{'x' * 3 * LONGEST_LINE}</data></node>"
    assert "a text longer than" in said(put("y.graphml", XML.format("", body)))


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("  José\u00a0 Martí ", "José Martí"),
        ("Jose\u0301", "José"),  # one character, however it is composed
        ("\u202eAda\u202c", "Ada"),  # marks that turn a line around
        ("مدينة‏", "مدينة"),
        ("東京\u3000都", "東京 都"),
        ("a\u2581b", "a_b"),
        ("=HYPERLINK(1)", "=HYPERLINK(1)"),  # a formula is a name like any other
        ("{} and {name}", "{} and {name}"),
        ("two\nlines", "two lines"),
        (
            "\u0645\u06cc\u200c\u062e\u0648",
            "\u0645\u06cc\u200c\u062e\u0648",
        ),  # its joiner is spelling
    ],
)
def test_names_are_cleaned(raw: str, name: str) -> None:
    assert triple_file.clean(raw) == name
    assert triple_file.clean(name) == name
