"""Where in a model a fact is found: causal tracing."""

from ksmith.locate.trace import Effect, Trace, figure, trace

__all__ = ["Effect", "Trace", "figure", "trace"]
