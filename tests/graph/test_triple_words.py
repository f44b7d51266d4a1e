"""What relations and entities of a user's own facts are worded like."""

from typing import Any

import pytest

from ksmith.graph.phrases import ENTRY, NOUN, general, in_words
from tests.graph.test_triples import Make, kingdom, make, said

__all__ = ["make"]  # a fixture


def test_names_of_relations_as_words() -> None:
    assert in_words("placeOfBirth") == "place of birth"
    assert in_words("place_of_birth") == "place of birth"
    assert in_words("iPhone model") == "iPhone model"
    assert general("notable work").trained[0] == "The notable work of {} is"
    assert "Wolf is one whose place of birth is" in _of("placeOfBirth", "Wolf")
    for text in ("{}", "notable work"):
        worded = general(text)
        assert all(t.count("{}") == 1 for t in (*worded.trained, *worded.novel))


def _of(relation: str, subject: str) -> list[str]:
    return [template.replace("{}", subject) for template in general(relation).trained]


@pytest.mark.parametrize(
    "name",
    ["date of birth", "sport", "position held", "number of children", "language of work or name",
     "status", "class", "mother's maiden name", "chef-d'œuvre", "国籍", "الأب", "related work"],
)  # fmt: skip
def test_what_the_name_of_one_thing_is_worded_like(name: str) -> None:
    assert f"The {name} of Ada is" in _of(name, "Ada")
    assert len(general(name).trained) == len(NOUN)


@pytest.mark.parametrize(
    "name",
    ["located in", "applies to jurisdiction", "has part", "is a", "born", "created", "owns",
     "languages", "official languages", "languages spoken, written or signed", "children of",
     "children", "P31", "people/person/nationality", "spouse(s)", "{}"],
)  # fmt: skip
def test_what_may_be_no_noun_is_quoted(name: str) -> None:
    assert len(general(name).trained) == len(ENTRY)
    quoted_name = in_words(name)
    assert all(f'" {quoted_name} "' in text for text in general(name).trained)


@pytest.mark.parametrize("name", ["notable work", "located in"])
def test_novel_wordings_use_trained_words(name: str) -> None:
    worded = general(name)
    known = {word for text in worded.trained for word in text.lower().split()}
    assert {word for text in worded.novel for word in text.lower().split()} <= known
    assert not set(worded.trained) & set(worded.novel)


def test_templates_of_ones_own(make: Make) -> None:
    own = [f"{{}} has colour number {i}" for i in range(8)]
    table = {"trained": ["{} is ruled by", "The ruler of {} is"], "novel": ["Who rules {} is"]}
    known = make(kingdom(), {"colour": own, "ruler": table})
    colour, ruler = known.relation["colour"], known.relation["ruler"]
    assert (colour.templates, colour.novel) == (tuple(own[:6]), tuple(own[6:]))
    assert (len(ruler.templates), ruler.novel) == (2, ("Who rules {} is",))
    assert known.counts["relations in general words"] == 4
    assert {len(fact.wordings) for fact in known.of["colour"]} == {4}


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ({"colour": ["It is"]}, "relation 'colour': template 1 needs one {} for the subject and "
         "has none: 'It is'"),
        ({"colour": ["{} and {} are"]}, "template 1 needs one {} for the subject and has 2"),
        ({"colour": ["{}"]}, "template 1 says nothing beside its subject"),
        ({"colour": []}, "relation 'colour': no template to train on"),
        ({"colour": ["{} is", "{}  is"]}, "the template '{} is' is there twice"),
        ({"colour": "{} is"}, "a list of templates is needed"),
        ({"colour": {"trained": ["{} is"], "new": []}}, "no 'new'; there are trained and novel"),
        ({"colour": ["{} is"], "ruler": ["{} is"]}, "'{} is' words both 'colour' and 'ruler'"),
        ({"color": ["{} is"]}, "no relation 'color' in the facts; did you mean 'colour'?"),
        ("[", "neither TOML nor JSON"),
        ("[1]", "a table of relations is needed"),
        ({"colour": [1]}, "template 1 is no text"),
    ],
)  # fmt: skip
def test_templates_that_can_not_be(make: Make, templates: Any, message: str) -> None:
    assert message in said(make, kingdom(), templates)


def test_two_names_in_the_same_words(make: Make) -> None:
    facts = [(f"a{i}", name, f"b{i}") for i in range(4) for name in ("home_town", "homeTown")]
    assert "'home_town' and 'homeTown' would be worded alike" in said(make, facts)
