"""ksmith: studies of knowledge editing and machine unlearning in language models.

The names below read a lab as Polars frames; they are imported when first used, so that
`import ksmith` stays light.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ksmith.frames import (
        answers,
        curves,
        findings,
        gold,
        memory,
        memory_gold,
        metrics,
        pooled,
        table,
        trials,
    )

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "answers",
    "curves",
    "findings",
    "gold",
    "memory",
    "memory_gold",
    "metrics",
    "pooled",
    "table",
    "trials",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from ksmith import frames

        return getattr(frames, name)
    raise AttributeError(f"module 'ksmith' has no attribute {name!r}")
