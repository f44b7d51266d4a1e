"""Second moments that another tool measured: the public npz files, one a layer.

ROME's and MEMIT's code writes `<module>_<dtype>_mom2_<samples>.npz` with the sum of k k^T as
`mom2.mom2` and the number of tokens as `mom2.count`. Such a file is a zip of arrays, and an array
of Python objects in it is a pickle, which is never opened: the headers are read first, and
nothing but numbers of the announced shape.
"""

import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ksmith.records import UserError

SUM, COUNT = "mom2.mom2", "mom2.count"
WIDEST = 1 << 17  # keys: a matrix of 64 GiB in float32
SMALL = 1 << 12  # bytes of the count's array
# With these numpy and zipfile say that a file is not theirs.
WRONG = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError)
# With these Python says that a header, which numpy parses as a literal, is none: TypeError of
# {[]: 1}, MemoryError where the parser's own stack is full.
NO_LITERAL = (tokenize.TokenError, SyntaxError, TypeError, MemoryError)


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says that it holds."""

    path: Path
    width: int  # d_ff
    count: int  # tokens


@dataclass(frozen=True, slots=True)
class Statistic:
    """What a file holds."""

    header: Header
    sum: Any  # (d_ff, d_ff) numpy array: the sum of k k^T over the tokens


def statistics(folder: Path) -> list[Path]:
    """Return the npz files in `folder`, by name.

    Raises:
        UserError: there is none, or no folder.
    """
    if not folder.is_dir():
        raise UserError("no such folder")
    found = sorted(path for path in folder.glob("*.npz") if path.is_file())
    if not found:
        raise UserError("no *.npz file in it")
    return found


def header(path: Path) -> Header:
    """Return what the file says that it holds, without reading the matrix.

    Raises:
        UserError: it is not such a file.
    """
    return _read(path, whole=False).header


def statistic(path: Path) -> Statistic:
    """Return what the file holds.

    Raises:
        UserError: it is not such a file.
    """
    return _read(path, whole=True)


def _read(path: Path, *, whole: bool) -> Statistic:
    try:
        with zipfile.ZipFile(path) as file:
            count = _count(file)
            with _member(file, SUM) as member:
                shape, kind, size = _head(member, SUM)
                width = _width(shape)
                _check_size(file, SUM, member.tell() + size)
                matrix = _matrix(member, shape, kind, size) if whole else None
    except WRONG as error:
        raise UserError(
            f"{path.name}: no statistics: {error or type(error).__name__}"
        ) from None
    except UserError as error:
        raise UserError(f"{path.name}: {error}") from None
    return Statistic(Header(path, width, count), matrix)


def _member(file: zipfile.ZipFile, name: str) -> IO[bytes]:
    names = file.namelist()
    if f"{name}.npy" not in names:
        there = ", ".join(sorted(one.removesuffix(".npy") for one in names)[:8]) or "nothing"
        raise UserError(f"no array {name}; there is {there}")
    return file.open(f"{name}.npy")


def _head(member: IO[bytes], name: str) -> tuple[tuple[int, ...], Any, int]:
    """Return shape, type and size in bytes of an array of numbers."""
    from numpy.lib import format as npy

    version = npy.read_magic(member)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise UserError(f"{name} is an array of format {version}, which is not read")
    try:
        shape, _, kind = read(member)  # in which order makes no difference: it is symmetric
    except NO_LITERAL:
        raise UserError(f"{name} has a header that cannot be read") from None
    if kind.hasobject:
        raise UserError(f"{name} holds Python objects, which can run code when opened")
    if kind.kind not in "fiu":
        raise UserError(f"{name} holds {kind}, not numbers")
    size = kind.itemsize
    for length in shape:
        size *= length
    return shape, kind, size


def _width(shape: tuple[int, ...]) -> int:
    if len(shape) != 2 or shape[0] != shape[1] or not 1 <= shape[0] <= WIDEST:
        raise UserError(f"{SUM} is of shape {shape}, not a square matrix")
    return shape[0]


def _check_size(file: zipfile.ZipFile, name: str, size: int) -> None:
    there = file.getinfo(f"{name}.npy").file_size
    if there != size:
        raise UserError(f"{name} is of {there:,} bytes; its shape needs {size:,}")


def _count(file: zipfile.ZipFile) -> int:
    import numpy as np

    with _member(file, COUNT) as member:
        shape, kind, size = _head(member, COUNT)
        if size > SMALL or size != kind.itemsize:
            raise UserError(f"{COUNT} is of shape {shape}, not one number")
        value = float(np.frombuffer(member.read(size), kind, 1)[0])
    if not (value > 0 and value.is_integer()):
        raise UserError(f"{COUNT} = {value:g}, not a number of tokens")
    return int(value)


def _matrix(member: IO[bytes], shape: tuple[int, ...], kind: Any, size: int) -> Any:
    import numpy as np

    content = member.read(size)
    _ = member.read()  # to the end: the zip's checksum is looked at there
    matrix = np.frombuffer(content, kind).reshape(shape)
    # A sum of squares: what is less, or no number, was measured wrongly or is another thing.
    if not np.isfinite(matrix).all() or (matrix.diagonal() < 0).any():
        raise UserError(f"{SUM} is no sum of squares: it has negative or infinite entries")
    return matrix
