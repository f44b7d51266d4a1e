"""zsRE in the layout of MEND's question answering file, read and checked.

Levy et al., "Zero-Shot Relation Extraction via Reading Comprehension", CoNLL 2017; Mitchell et
al., "Fast Model Editing at Scale", ICLR 2022.
"""

from pathlib import Path

from ksmith.graph import record_file
from ksmith.graph.record_file import Checked, Stripped
from ksmith.records import UserError


class ZsreRecord(Checked):
    """One record of the file; texts may be empty, and some are."""

    subject: Stripped
    src: Stripped  # the question about it
    rephrase: Stripped
    answers: tuple[Stripped, ...]  # all right
    alt: Stripped  # another answer, wrong but for chance
    loc: Stripped  # a question about something else
    loc_ans: Stripped
    pred: Stripped = ""  # what some model answered


def read(path: Path, digest: str | None = None) -> list[ZsreRecord]:
    """Return the records of the file, in order.

    Raises:
        UserError: no such file, another file than that of `digest`, or not in the format; the
            message names the record (from 1) and the field.
    """
    records, errors = record_file.read(path, ZsreRecord, "zsRE", digest)
    if errors:
        raise UserError(record_file.listed(path, errors))
    return records
