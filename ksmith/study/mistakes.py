"""Where something was given, and all that is wrong with it."""

from dataclasses import dataclass, field

from ksmith.records import StudyError


@dataclass(frozen=True, slots=True, order=True)
class Where:
    """A line of the file, or a `--set`; those of the command line sort last."""

    rank: int  # 0 in the file, 1 at the command line
    line: int
    text: str  # what stands before the colon of a message


@dataclass(slots=True)
class Mistakes:
    """The mistakes found so far. Each message stands once, in the order of the file."""

    found: set[tuple[Where, str]] = field(default_factory=set[tuple[Where, str]])

    def add(self, where: Where, message: str) -> None:
        """Note one mistake."""
        self.found.add((where, message))

    def mention(self, *texts: str) -> bool:
        """Return whether a message says one of the texts, so that more would be noise."""
        return any(text in message for _, message in self.found for text in texts)

    def stop_if_any(self) -> None:
        """Raise StudyError with all of them, one a line, if there are any."""
        if self.found:
            raise StudyError("\n".join(line(where, text) for where, text in sorted(self.found)))


def line(where: Where, message: str) -> str:
    """Return `where: message` as one printable line, whatever the file's name is made of."""
    text = " ".join(f"{where.text}: {message}".splitlines())
    return text.encode("utf-8", "backslashreplace").decode()
