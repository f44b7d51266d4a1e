"""HTML written from Python: whatever is not HTML already is escaped."""

import base64
from collections.abc import Iterable
from html import escape

VOID = frozenset({"meta", "img", "br", "col"})


class Html(str):
    """Text that is HTML already; every other string is data."""

    __slots__ = ()


MEDIA = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg"}

Child = str | int | None | Iterable["Child"]


def join(children: Iterable[Child]) -> Html:
    """Return the children one after another, escaped where they are data; None is nothing."""
    return Html("".join(_one(child) for child in children))


def _one(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str | int):
        return escape(str(child), quote=False)
    return join(child)


def tag(name: str, /, *children: Child, **attributes: str | int | bool | None) -> Html:
    """Return `<name attributes>children</name>`.

    `class_` is written `class`, other underscores become hyphens; an attribute that is None or
    False is left out.
    """
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        parts.append(attribute if value is True else f'{attribute}="{escape(str(value))}"')
    start = f"<{' '.join(parts)}>"
    return Html(start if name in VOID else f"{start}{join(children)}</{name}>")


def data_uri(content: bytes, suffix: str) -> str:
    """Return a picture as a `data:` address; `suffix` is one of `MEDIA`."""
    return f"data:{MEDIA[suffix]};base64,{base64.b64encode(content).decode()}"
