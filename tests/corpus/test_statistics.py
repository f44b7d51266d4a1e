"""Statistics of the public layout are read; what only looks like them is not opened."""

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ksmith.corpus import header, statistic, statistics
from ksmith.records import UserError

SUM = np.array([[4.0, 1.0], [1.0, 2.0]], dtype=np.float32)


def npy(value: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, value, **options)
    return file.getvalue()


def packed(path: Path, **members: bytes) -> Path:
    """Return a zip with the members `mom2.<name>.npy`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"mom2.{name}.npy", content)
    return path


def public(path: Path, matrix: Any = SUM, count: Any = 7) -> Path:
    """Return a file as the public code writes it, with the names that it writes beside."""
    constructor = "util.runningstats.SecondMoment()"
    members: dict[str, Any] = {"mom2.mom2": matrix, "mom2.count": count}
    np.savez(path, **members, **{"mom2.constructor": constructor, "sample_size": 100})  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_public_layout(tmp_path: Path, dtype: str) -> None:
    path = public(tmp_path / "layer.npz", SUM.astype(dtype))
    assert (header(path).width, header(path).count) == (2, 7)
    found = statistic(path)
    assert found.header == header(path)
    assert found.sum.dtype == np.dtype(dtype)
    assert (found.sum == SUM).all()


def test_files_by_name(tmp_path: Path) -> None:
    for name in ("b.npz", "a.npz", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in statistics(tmp_path)] == ["a.npz", "b.npz"]
    with pytest.raises(UserError, match="no such folder"):
        statistics(tmp_path / "a.npz")


ARRAYS: list[tuple[str, dict[str, bytes], str]] = [
    ("objects", {"mom2": npy(np.array([None]), allow_pickle=True)}, "holds Python objects"),
    ("a pickle", {"mom2": pickle.dumps({"a": 1})}, "no statistics"),
    ("a vector", {"mom2": npy(np.ones(4))}, r"of shape \(4,\), not a square matrix"),
    ("an oblong", {"mom2": npy(np.ones((2, 3)))}, r"of shape \(2, 3\), not a square"),
    ("cut", {"mom2": npy(SUM)[:-4]}, "is of 140 bytes; its shape needs 144"),
    ("too long", {"mom2": npy(SUM) + b"more"}, "is of 148 bytes; its shape needs 144"),
    ("text", {"mom2": npy(np.array([["a"]]))}, "holds <U1, not numbers"),
    ("infinite", {"mom2": npy(SUM * np.inf)}, "negative or infinite"),
    ("negative", {"mom2": npy(-SUM)}, "negative or infinite"),
    ("many counts", {"count": npy(np.ones(3))}, r"mom2.count is of shape \(3,\), not one"),
    ("no tokens", {"count": npy(np.array(0))}, "mom2.count = 0, not a number of tokens"),
    ("half a token", {"count": npy(np.array(1.5))}, "mom2.count = 1.5, not a number"),
]


@pytest.mark.parametrize(("members", "message"), [row[1:] for row in ARRAYS])
def test_what_only_looks_like_statistics(
    tmp_path: Path, members: dict[str, bytes], message: str
) -> None:
    whole = {"mom2": npy(SUM), "count": npy(np.array(7))}
    path = packed(tmp_path / "x.npz", **{**whole, **members})
    with pytest.raises(UserError, match=f"^x.npz: .*{message}"):
        statistic(path)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "(((",
        "-" * 9000 + "1",
        "'" * 3,
        "{[]: 1}",
        "{1: 1, 'a': 2}",
        " 1\n  2\n 3",
        "x = 1",
    ],
)
def test_headers_that_are_no_literal(tmp_path: Path, content: str) -> None:
    lie = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(content)) + content.encode()
    path = packed(tmp_path / "x.npz", mom2=lie, count=npy(np.array(7)))
    with pytest.raises(UserError, match=r"^x\.npz: (mom2.mom2 has a header|no statistics)"):
        header(path)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    """Were it, this process would end here."""
    content = npy(np.array([None]), allow_pickle=True)
    deadly = content[: content.index(b"\n") + 1] + b"cos\nabort\n(tR."
    path = packed(tmp_path / "x.npz", mom2=deadly, count=npy(np.array(7)))
    with pytest.raises(UserError, match="Python objects"):
        statistic(path)


def test_a_shape_that_no_memory_holds_is_refused_unread(tmp_path: Path) -> None:
    content = npy(np.ones((100, 100), dtype=np.float32))
    huge = content.replace(b"(100, 100)", b"(99999, 99999)")
    lie = huge.replace(b"    \n", b"\n", 1)  # the header's length stays what it says
    assert len(lie) == len(content)
    path = packed(tmp_path / "x.npz", mom2=lie, count=npy(np.array(7)))
    with pytest.raises(UserError, match="its shape needs 39,999,200,"):
        header(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no statistics"), (b"PK\x03\x04 nothing", "no statistics")],
)
def test_no_zip(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(UserError, match=f"^x.npz: {message}"):
        header(tmp_path / "x.npz")


def test_other_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=SUM)
    with pytest.raises(UserError, match=r"^x\.npz: no array mom2.count; there is a$"):
        header(tmp_path / "x.npz")
