"""What the synthetic source can be about: domains of one schema, each in its own words.

A *role* is what a relation is in the schema; it has the same rules, the same number of objects
and templates in every domain, so that domain is not confounded with structure. In the domain of
places a relation has its role's name.

    PLAIN     the schema of `synthetic`: own attributes, leader, ally, inheritance
    SEVERAL   one-to-many relations: contains (part_of backwards), wrote (author backwards), and
              a chain of three rules, leader -> leads -> badge -> cover
    ALIASES   other names: also_called, alias_of
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from ksmith.graph import wording
from ksmith.graph.domains import companies, creatures, places, schools
from ksmith.graph.knowledge import Relation
from ksmith.graph.rules import Rule

SEVERAL = (
    Rule(body=("part_of",), head="contains"),
    Rule(body=("author",), head="wrote"),
    Rule(body=("author", "badge"), head="cover", cut=1),
)
ALIASES = (Rule(body=("also_called",), head="alias_of"),)
MANY = ("contains", "wrote")  # roles of relations with many objects

# Every template says what kind of thing it is about: NODE stands for the domain's noun.
_ALIASES = """
also_called = also_called : alias
The NODE {} is also called
The NODE {} is also known as
Another name for the NODE {} is
{} is a NODE also called
{} is a NODE that many know as
Some call the NODE {} by the name
In old texts the NODE {} is called
The NODE {} once went by the name
~ {} is a NODE also known as
~ Some know the NODE {} by the name

alias_of = alias_of : NODE
{} is another name for the NODE
{} is an old name of the NODE
The NODE called {} is really
The NODE known as {} is really
Those who say {} mean the NODE
The name {} means the NODE
The NODE known by the name {} is
In old texts {} means the NODE
~ {} means the NODE
~ The name {} is an old name of the NODE
"""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Who and what there is in a domain, and in which words it is spoken of."""

    name: str
    node: str  # the noun, and the type, of what is in the hierarchy
    agent: str  # ... of who leads it
    work: str  # ... of what agents write
    pools: Mapping[str, tuple[str, ...]]  # type -> its objects
    plain: Mapping[str, Relation]  # role -> relation, in a fixed order
    several: Mapping[str, Relation]
    aliases: Mapping[str, Relation]

    def relations(self, *, several: bool, aliases: bool) -> dict[str, Relation]:
        """Return role -> relation of the schema, with what was asked for besides."""
        return {
            **self.plain,
            **(self.several if several else {}),
            **(self.aliases if aliases else {}),
        }

    def rules(self, *, several: bool, aliases: bool) -> tuple[Rule, ...]:
        """Return the rules between these relations."""
        named = self.relations(several=True, aliases=True)
        rules = (*wording.RULES, *(SEVERAL if several else ()), *(ALIASES if aliases else ()))
        return tuple(
            replace(
                rule,
                body=tuple(named[role].name for role in rule.body),
                head=named[rule.head].name,
            )
            for rule in rules
        )


@cache
def domain(name: str) -> Domain:
    """Return the domain called `name`."""
    texts = {"companies": companies, "creatures": creatures, "schools": schools}
    if name == "places":
        pools, plain = (
            wording.POOLS,
            {relation.name: relation for relation in wording.RELATIONS},
        )
        types, several = places.TYPES, places.SEVERAL
    else:
        text = texts[name]
        pools, plain = wording.pools(text.POOLS), _parsed(text.RELATIONS)
        types, several = text.TYPES, text.SEVERAL
    node, agent, work = types.split()
    prefix = "" if name == "places" else f"{node}_"
    aliases = _parsed(_ALIASES.replace("NODE", node))
    return Domain(
        name=name,
        node=node,
        agent=agent,
        work=work,
        pools=pools,
        plain=plain,
        several=_parsed(several),
        aliases={
            "also_called": replace(
                aliases["also_called"], name=f"{prefix}also_called", objects=f"{node} alias"
            ),
            "alias_of": replace(aliases["alias_of"], name=f"{prefix}alias_of"),
        },
    )


def _parsed(text: str) -> dict[str, Relation]:
    """Return role -> relation of blocks `role = name : type of its objects`, then templates.

    A template that training never shows stands after `~`.
    """
    found: dict[str, Relation] = {}
    for block in text.strip().split("\n\n"):
        head, *lines = block.splitlines()
        role, name, objects = head.replace("=", ":").replace(" ", "").split(":")
        found[role] = Relation(
            name=name,
            objects=objects,
            templates=tuple(line for line in lines if not line.startswith("~ ")),
            novel=tuple(line.removeprefix("~ ") for line in lines if line.startswith("~ ")),
            functional=role not in MANY,
        )
    return found
