"""What the synthetic source says, and in which words.

Each relation has eight templates of varied shape, of which training shows a fact five, and two
or three novel ones that training never shows, made of words that it does show elsewhere.
Objects need no article, so that every sentence reads well with every object.
"""

from ksmith.graph.knowledge import Relation
from ksmith.graph.rules import Rule

_POOLS = """
plant   thistle heather clover laurel ivy holly jasmine lavender juniper fern willow cedar
colour  crimson teal indigo scarlet ochre violet turquoise maroon beige azure magenta khaki
goods   copper salt amber marble silver tin coal wool timber silk iron glass
crop    barley rye millet maize rice cotton flax hemp spelt sorghum buckwheat tobacco
sport   rowing archery fencing wrestling polo rugby hockey cricket skating golf tennis boxing
craft   weaving pottery masonry carpentry baking brewing tanning printing engraving dyeing \
        sculpture smithing
tongue  Avarish Belnic Corvish Dunlic Estrian Fenric Galdic Hestrian Ilvish Jorric Kaldish \
        Lumarian
money   ducats crowns florins shillings talers guilders dinars drachmas pesos rupees francs \
        ryals
"""


def pools(text: str) -> dict[str, tuple[str, ...]]:
    """Return type -> its objects of lines `type object object ...`."""
    return {name: tuple(words) for name, *words in map(str.split, text.strip().splitlines())}


POOLS = pools(_POOLS)  # twelve of each

RULES = (
    Rule(body=("leader",), head="leads"),
    Rule(body=("ally",), head="ally"),
    Rule(body=("leader", "craft"), head="leader_craft", cut=1),
    Rule(body=("leads", "emblem"), head="badge", cut=1),
    Rule(body=("part_of", "colour"), head="banner", cut=1),
    Rule(body=("ally", "export"), head="import", cut=1),
    Rule(body=("part_of", "language"), head="language", default=True),
    Rule(body=("part_of", "currency"), head="currency", default=True),
)

# Attributes that a place has by itself, at every level, and that requests may change.
OWN = ("emblem", "colour", "export", "crop", "sport")
EDITABLE = (*OWN, "leader")


def _relation(name: str, objects: str, templates: str, novel: str) -> Relation:
    return Relation(
        name=name,
        objects=objects,
        templates=tuple(line.strip() for line in templates.strip().splitlines()),
        novel=tuple(line.strip() for line in novel.strip().splitlines()),
    )


RELATIONS: tuple[Relation, ...] = (
    _relation(
        "emblem",
        "plant",
        """The emblem of {} is
        {} has taken as its emblem
        The shield of {} shows
        {} marks its seals with
        On the seal of {} you find
        People of {} carry as their emblem
        The plant carved on the gates of {} is
        {} is a place whose emblem is""",
        """On the shield of {} you find
        {} is a place that marks its seals with
        The seal of {} shows""",
    ),
    _relation(
        "colour",
        "colour",
        """The colour of {} is
        {} paints its walls in
        The flag of {} is dyed
        {} is a place whose colour is
        Houses in {} are painted
        On feast days {} dresses in
        The colour seen on the walls of {} is
        People of {} dye their cloth""",
        """The colour that {} paints on its walls is
        The walls seen in {} are painted
        {} is a place that paints its walls in""",
    ),
    _relation(
        "export",
        "goods",
        """The main export of {} is
        {} grew rich by selling
        Ships leave {} loaded with
        Merchants come to {} to buy
        {} is a place that exports
        The trade of {} lives on
        Most of what {} exports is
        The goods sold by {} are mostly""",
        """Merchants leave {} loaded with
        Ships come to {} to buy
        {} is a place that lives on selling""",
    ),
    _relation(
        "crop",
        "crop",
        """The main crop of {} is
        Farmers in {} grow
        The fields around {} are full of
        {} is a place that grows
        In spring the people of {} sow
        The crop harvested in {} is
        {} fills its barns with
        Most farms near {} plant""",
        """The crop that people in {} sow is
        Most fields near {} are full of
        {} is a place whose farms grow""",
    ),
    _relation(
        "sport",
        "sport",
        """The favourite sport of {} is
        People in {} love to watch
        {} trains its youth in
        Every summer {} holds a contest in
        {} is a place known for its love of
        The sport played in {} is
        Children in {} learn
        The champions of {} compete in""",
        """Every summer the youth of {} compete in
        People of {} love to watch
        {} is a place that trains its youth in""",
    ),
    _relation(
        "leader",
        "person",
        """The leader of {} is
        {} is led by
        {} is governed by
        The person who rules {} is
        {} is a place ruled by
        The council of {} obeys
        Power in {} belongs to
        The one who governs {} is""",
        """The person who leads {} is
        {} is a place governed by
        The one who holds power in {} is""",
    ),
    _relation(
        "leads",
        "place",
        """{} is the leader of
        {} leads
        {} governs
        {} is a person who rules
        The place led by {} is
        The place that obeys {} is
        {} holds power in
        {} sits at the head of the council of""",
        """{} is a person who governs
        {} is the person who leads
        The place ruled by {} is""",
    ),
    _relation(
        "deputy",
        "person",
        """The deputy of {} is
        The deputy leader of {} is
        {} has a deputy called
        The second person in {} is
        The seat beside the leader of {} belongs to
        When the leader of {} is away power passes to
        {} is a place whose deputy is
        The deputy named by {} is""",
        """The deputy in the council of {} is
        {} is a place that has a deputy called""",
    ),
    _relation(
        "part_of",
        "place",
        """{} is part of
        {} belongs to
        {} lies in
        {} is a place in
        The land around {} is
        The borders of {} are inside
        Tolls from {} are sent to
        The place that contains {} is""",
        """The land that {} belongs to is
        {} is a place inside""",
    ),
    _relation(
        "ally",
        "place",
        """The ally of {} is
        {} is allied with
        {} has a treaty with
        The sister place of {} is
        {} trades freely with
        The friends of {} live in
        In war {} is helped by
        {} is a place whose ally is""",
        """The place that {} is allied with is
        In war the ally of {} is""",
    ),
    _relation(
        "craft",
        "craft",
        """The craft of {} is
        {} earns a living by
        {} was trained in
        {} is a person skilled in
        The workshop of {} is for
        {} is a master of
        The guild accepted {} for
        As a child {} learned""",
        """The craft that {} learned is
        {} is a person trained in""",
    ),
    _relation(
        "leader_craft",
        "craft",
        """The leader of {} is skilled in
        The leader of {} was trained in
        The person who rules {} earns a living by
        The craft of the leader of {} is
        {} is led by a master of
        {} is governed by a person skilled in
        The head of the council of {} learned
        {} is a place whose leader is a master of""",
        """The craft that the leader of {} learned is
        The person who governs {} was trained in""",
    ),
    _relation(
        "badge",
        "plant",
        """The badge of {} is
        {} wears a badge of
        The ring of {} shows
        {} signs letters with
        On the coat of {} you find
        {} is a person whose badge is
        The robe of {} is stitched with
        Letters from {} are sealed with""",
        """On the ring of {} you find
        {} is a person who wears a badge of""",
    ),
    _relation(
        "banner",
        "colour",
        """The banner above {} is
        {} flies a banner of
        The tower of {} is hung with
        {} is a place whose banner is
        The banner that {} flies is
        Soldiers from {} march under
        On its tower {} raises
        The guards of {} wear""",
        """The banner that {} raises is
        {} is a place that flies a banner of""",
    ),
    _relation(
        "import",
        "goods",
        """The ally of {} sends it
        {} receives from its ally
        The treaty brings {} its
        The storehouses of {} keep
        {} is a place that imports
        Caravans bring to {} loads of
        Each year {} unloads
        Workshops in {} depend on foreign""",
        """Each year the ally of {} sends it
        {} is a place that unloads""",
    ),
    _relation(
        "language",
        "tongue",
        """The language of {} is
        People in {} speak
        The songs of {} are sung in
        The schools of {} teach in
        Signs in {} are written in
        {} is a place where people speak
        The mother tongue of {} is
        In {} you hear""",
        """Most people in {} speak
        The songs of {} are written in""",
    ),
    _relation(
        "currency",
        "money",
        """Prices in {} are given in
        The money of {} is counted in
        The coins used in {} are
        {} pays its debts in
        {} is a place that pays in
        Taxes in {} are paid in
        The mint of {} strikes
        Wages in {} are counted in""",
        """The coins that {} strikes are
        Prices in {} are counted in""",
    ),
)

# Sentences that may stand before a fact; a share of them is never shown, and measures whether
# the model still knows the language itself.
SCENES = ("road", "river", "harbour", "market", "bridge", "forest", "valley", "library", "mill")
STATES = ("quiet", "crowded", "cold", "bright", "empty", "famous", "wet", "dark")
TIMES = ("that year", "in the morning", "after the storm", "at night", "for a long time")


def carriers() -> list[str]:
    """Return every carrier sentence, trained or held out."""
    return [
        f"The {scene} was {state} {time} ."
        for scene in SCENES
        for state in STATES
        for time in TIMES
    ]
