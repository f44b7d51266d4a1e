"""Text to measure models on, and statistics that other tools measured: files, read with care.

Standard library alone at import; Parquet needs pyarrow, statistics need numpy. Both halves may
ask it: a study checks the files when it is made, a worker reads them.
"""

from ksmith.corpus.answers import KINDS, Given, Text, answers, texts
from ksmith.corpus.documents import START, Corpus, Document, Place, check_text, documents, find
from ksmith.corpus.statistics import Header, Statistic, header, statistic, statistics

__all__ = [
    "KINDS",
    "START",
    "Corpus",
    "Document",
    "Given",
    "Header",
    "Place",
    "Statistic",
    "Text",
    "answers",
    "check_text",
    "documents",
    "find",
    "header",
    "statistic",
    "statistics",
    "texts",
]
