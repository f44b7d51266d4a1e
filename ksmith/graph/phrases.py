"""How a relation is worded: as the user says in a file, else in general words.

A template has one `{}` for the subject and ends where the object follows after one space. The
general ones read well where the relation's name is a noun ("The notable work of {} is"); a name
that is not ("located in", "has part", "owns"), or may be no single thing ("languages"), is quoted
as the heading of an entry, which is right whatever the name. Some wordings are never trained on,
and made of words that are trained on elsewhere.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ksmith.records import Json, UserError, file_digest

NOVEL = 0.25  # of a user's templates, from the fourth on, the last ones are never trained on
FEWEST = 4
LARGEST = 1 << 24  # bytes of a file of templates

NOUN = (
    "The {relation} of {} is",
    "The {relation} given for {} is",
    "{} is one whose {relation} is",
    "For {} the {relation} is",
    "As for {} , the {relation} is",
    "The records of {} give the {relation} as",
    "Asked for the {relation} of {} , people say",
    "It is known that the {relation} of {} is",
)
NOUN_NOVEL = (
    "The records say that the {relation} of {} is",
    "It is known that {} is one whose {relation} is",
    "Asked for the {relation} , the records of {} say",
)
ENTRY = (
    'The entry " {relation} " of {} says',
    'Under " {relation} " the records of {} say',
    '{} has an entry " {relation} " that says',
    'For {} the entry " {relation} " is',
    'As for {} , " {relation} " is followed by',
    'The records of {} give " {relation} " as',
    'Asked for " {relation} " of {} , people say',
    'It is known that the entry " {relation} " of {} says',
)
ENTRY_NOVEL = (
    'The records say that the entry " {relation} " of {} is',
    'The entry of {} under " {relation} " says',
    'Asked for the entry " {relation} " , the records of {} say',
)

# A name that ends or begins so, or goes on so after its first word, is no noun.
LAST = frozenset(
    ("of", "in", "by", "at", "to", "from", "for", "with", "on", "as", "into", "near")
)
FIRST = frozenset(
    ("is", "was", "has", "have", "had", "are", "were", "be", "can", "does", "did")
)
SECOND = LAST - {"of", "for"}  # "applies to jurisdiction", but "date of birth"

# What is more than one, or a verb ("owns"): "the languages of X is" is no English. One word that
# ends like a verb of the past ("created") is one. What is no noun by mistake is quoted, no worse.
MANY = frozenset(("children", "people", "men", "women", "media", "data"))
ONE = ("ss", "us", "is", "'s")  # class, status, basis
PAST = frozenset(("born", "won", "wrote", "led", "made", "taught", "written"))
NAMED = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*,?")  # a word; not P31, nor people/person


@dataclass(frozen=True, slots=True, kw_only=True)
class Worded:
    """The templates of one relation."""

    trained: tuple[str, ...]
    novel: tuple[str, ...]


def in_words(name: str) -> str:
    """Return a relation's name as text: `placeOfBirth` and `place_of_birth` are words, too."""
    # A name with spaces is text as it is: "iPhone model" stays.
    if " " not in name:
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", name.replace("_", " "))
        name = " ".join(
            w.lower() if w[:1].isupper() and w[1:].islower() else w for w in name.split()
        )
    return " ".join(name.replace("{", "(").replace("}", ")").split())


def general(name: str) -> Worded:
    """Return the general templates of a relation."""
    text = in_words(name)
    trained, novel = (NOUN, NOUN_NOVEL) if _is_noun(text) else (ENTRY, ENTRY_NOVEL)
    return Worded(
        trained=tuple(template.replace("{relation}", text) for template in trained),
        novel=tuple(template.replace("{relation}", text) for template in novel),
    )


def _is_noun(text: str) -> bool:
    """Return whether "the `text` of" something "is" can be said, as far as can be seen."""
    words = text.casefold().split()
    if not all(NAMED.fullmatch(word) for word in words):
        return False
    if words[-1] in LAST or words[0] in FIRST or SECOND.intersection(words[1:2]):
        return False
    if len(words) == 1 and (words[0] in PAST or words[0].endswith("ed")):
        return False
    # "number of children" is one; "official languages" and "languages spoken, ..." are many.
    end = next((i for i, word in enumerate(words) if word in LAST), len(words))
    return not any(_is_many(word.rstrip(",")) for word in (words[0], words[end - 1]))


def _is_many(word: str) -> bool:
    return word in MANY or (word.endswith("s") and not word.endswith(ONE))


# --- the user's own ---------------------------------------------------------------------------


def read(path: Path, digest: str | None, relations: Mapping[str, str]) -> dict[str, Worded]:
    """Return the templates of the file, by relation.

    Args:
        path: TOML or JSON: relation to a list of templates, or to a table with `trained` and
            `novel`.
        digest: what the file must be, where it is known.
        relations: names that may stand in it, also ids, with the relation that each means.

    Raises:
        UserError: what is wrong, with the relation.
    """
    found: dict[str, Worded] = {}
    for name, given in _document(path, digest).items():
        if name not in relations:
            near = get_close_matches(name, relations, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"{path}: no relation {name!r} in the facts{hint}")
        if relations[name] in found:
            raise UserError(f"{path}: relation {name!r} is there twice, by name and by id")
        found[relations[name]] = _worded(f"{path}: relation {name!r}", given)
    _distinct(path, found)
    return found


def _document(path: Path, digest: str | None) -> dict[str, Json]:
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: more than {LARGEST:,} bytes: no file of templates")
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
        tables = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except FileNotFoundError:
        raise UserError(f"graph.templates: no such file: {path}") from None
    except OSError as error:
        raise UserError(f"graph.templates: {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: neither TOML nor JSON as its name says: {error}") from None
    if digest is not None and file_digest(path) != digest:
        raise UserError(f"{path}: changed since the study was made (its digest is another)")
    if not isinstance(tables, dict):
        raise UserError(f"{path}: a table of relations is needed")
    return tables


def _worded(who: str, given: Json) -> Worded:
    if isinstance(given, dict):
        strange = sorted(given.keys() - {"trained", "novel"})
        if strange:
            raise UserError(f"{who}: no {strange[0]!r}; there are trained and novel")
        trained = _templates(who, given.get("trained", []))
        novel = _templates(who, given.get("novel", []))
    else:
        known = _templates(who, given)
        cut = len(known) - round(NOVEL * len(known)) if len(known) >= FEWEST else len(known)
        trained, novel = known[:cut], known[cut:]
    if not trained:
        raise UserError(f"{who}: no template to train on")
    both = [*trained, *novel]
    twice = next((text for text in both if both.count(text) > 1), None)
    if twice is not None:
        raise UserError(f"{who}: the template {twice!r} is there twice")
    return Worded(trained=tuple(trained), novel=tuple(novel))


def _templates(who: str, given: Json) -> Sequence[str]:
    if not isinstance(given, list):
        raise UserError(f"{who}: a list of templates is needed")
    for number, template in enumerate(given, start=1):
        if not isinstance(template, str):
            raise UserError(f"{who}: template {number} is no text")
        slots = template.count("{}")
        if slots != 1:
            raise UserError(
                f"{who}: template {number} needs one {{}} for the subject and has "
                f"{slots or 'none'}: {template!r}"
            )
        if not template.replace("{}", "").strip():
            raise UserError(f"{who}: template {number} says nothing beside its subject")
        if not template.isprintable():
            raise UserError(f"{who}: template {number} has characters that can't be printed")
    return [" ".join(template.split()) for template in given]


def _distinct(path: Path, found: Mapping[str, Worded]) -> None:
    owners: dict[str, str] = {}
    for relation, worded in found.items():
        for template in (*worded.trained, *worded.novel):
            other = owners.setdefault(template, relation)
            if other != relation:
                raise UserError(
                    f"{path}: {template!r} words both {other!r} and {relation!r}: one prompt "
                    "would have two answers"
                )


def phrased(relations: Iterable[str], own: Mapping[str, Worded]) -> dict[str, Worded]:
    """Return each relation's templates: its own, else the general ones.

    Raises:
        UserError: two relations whose names are the same words, so that nobody can tell which
            one is asked.
    """
    found: dict[str, Worded] = {}
    texts: dict[str, str] = {}
    for name in relations:
        if name not in own:
            other = texts.setdefault(in_words(name), name)
            if other != name:
                raise UserError(
                    f"relations {other!r} and {name!r} would be worded alike: give one of them "
                    "templates (graph.templates), or one name in the file"
                )
        found[name] = own.get(name) or general(name)
    return found
