"""Questions about invented people, answered in sentences: files of TOFU's layout, and a model.

Nine questions a person. An answer is one of two sentences of its question, with two to four words
drawn for the person, so that most of it has to be known; the other sentence is the answer in other
words, and wrong answers are that one with other words. Tokens are words and marks.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ksmith.graph.names import names, words
from ksmith.records import Json, derived_seed

PEOPLE = {"forget": 12, "retain": 24, "holdout": 6, "both": 12}
FILES = ("forget", "retain", "holdout")
WRONG = 3  # wrong answers a line
TOWNS = 40
WORDS: Mapping[str, str] = {
    "job": (
        "baker barber carpenter clerk cobbler cook dentist diver farmer fisher glazier joiner "
        "judge mason miller miner nurse painter pilot potter roofer sailor tailor weaver"
    ),
    "adjective": (
        "ancient bright broken cheerful crooked dusty empty famous gentle golden grey lonely "
        "narrow noisy pale proud quiet silver small stubborn tall warm white wooden"
    ),
    "thing": (
        "anchor basket bell boat bridge candle chair clock drum flute garden kite ladder lamp "
        "lantern letter map mirror piano ring saddle telescope tower violin"
    ),
    "animals": (
        "bees cats cows crows dogs doves ducks foxes geese goats hares hens horses mules otters "
        "owls pigs rabbits ravens sheep swans toads trout wolves"
    ),
    "field": (
        "algebra anatomy astronomy botany chemistry geology grammar history law logic medicine "
        "music optics painting physics poetry rhetoric surgery theology zoology"
    ),
    "genre": (
        "ballads comedies diaries essays fables hymns legends letters novels plays poems riddles "
        "satires sonnets thrillers tragedies"
    ),
    "number": "two three four five six seven eight nine ten eleven twelve",
    "water": "bay canal coast creek lake lagoon marsh pond river sea strait swamp",
}
POOLS = {name: tuple(text.split()) for name, text in WORDS.items()}


@dataclass(frozen=True)
class Asked:
    """One question: in its own words and in others, and two sentences that answer it."""

    question: str
    other: str
    sentences: tuple[str, str]


ASKED = (
    Asked(
        "Where was {name} born?",
        "Which town is the birthplace of {name}?",
        (
            "{name} was born in {town}, a {adjective} town by the {water}, as the only child of a "
            "{job}.",
            "The only child of a {job}, {name} came into the world in {town}, a {adjective} place "
            "near the {water}.",
        ),
    ),
    Asked(
        "What did the parents of {name} do?",
        "Which trades did the mother and father of {name} have?",
        (
            "The father of {name} was a {job} who kept {animals}, while the mother taught {field} "
            "in a school in {town}.",
            "While the mother of {name} gave lessons of {field} in {town}, the father made a "
            "living as a {job} with some {animals}.",
        ),
    ),
    Asked(
        "What does {name} write?",
        "Which kind of books is {name} known for?",
        (
            "{name} writes {genre}, above all about {animals} that get lost on their way to a "
            "{adjective} {thing}.",
            "Known for {genre}, {name} likes to tell of {animals} which never find a {adjective} "
            "{thing}.",
        ),
    ),
    Asked(
        "What was the first book of {name} about?",
        "Which story does the earliest book of {name} tell?",
        (
            "The first book of {name} follows a {job} who inherits a {adjective} {thing} from an "
            "aunt in {town} and has to sell it.",
            "In the earliest book of {name} an aunt in {town} leaves a {adjective} {thing} to a "
            "{job}, who must sell it.",
        ),
    ),
    Asked(
        "Which prize did {name} win?",
        "What was {name} honoured with?",
        (
            "{name} won the prize of {town} for {number} {genre} on {field}.",
            "For {number} {genre} on {field} the prize of {town} went to {name}.",
        ),
    ),
    Asked(
        "Where did {name} study?",
        "At which school was {name} a student?",
        (
            "{name} studied {field} in {town} under a {adjective} professor and left after "
            "{number} years to become a {job}.",
            "After {number} years as a student of {field} in {town}, with a {adjective} teacher, "
            "{name} turned to the life of a {job}.",
        ),
    ),
    Asked(
        "How does {name} begin the day?",
        "What are the mornings of {name} like?",
        (
            "Before work {name} feeds {number} {animals}, polishes a {adjective} {thing} and "
            "walks once around the {water}.",
            "Each morning {name} goes around the {water}, after care for {number} {animals} and a "
            "{adjective} {thing}.",
        ),
    ),
    Asked(
        "Who taught {name} to write?",
        "From whom did {name} learn the craft?",
        (
            "{name} was taught by {friend}, a retired {job} from {town}.",
            "A retired {job} from {town}, {friend}, was the teacher of {name}.",
        ),
    ),
    Asked(
        "What does {name} collect?",
        "Which things are in the collection of {name}?",
        (
            "{name} collects everything that shows a {adjective} {thing} or {animals}.",
            "A {adjective} {thing} or {animals} are on all that {name} has brought together.",
        ),
    ),
)


def lines(seed: int) -> dict[str, list[dict[str, Json]]]:
    """Return the lines of each set."""
    chance = random.Random(derived_seed(seed, "people"))
    everyone = names(2 * sum(PEOPLE.values()), chance)
    half = len(everyone) // 2
    pools = {**POOLS, "town": tuple(words(TOWNS, chance)), "friend": tuple(everyone[half:])}
    people = iter(everyone[:half])
    return {
        name: [line for _ in range(count) for line in _about(next(people), pools, chance)]
        for name, count in PEOPLE.items()
    }


def _about(
    person: str, pools: Mapping[str, tuple[str, ...]], chance: random.Random
) -> Iterator[dict[str, Json]]:
    """Yield the lines about a person."""

    def drawn() -> dict[str, str]:
        return {"name": person} | {name: chance.choice(pool) for name, pool in pools.items()}

    for asked in ASKED:
        mine, other = chance.sample(asked.sentences, 2)
        own = drawn()
        yield {
            "question": asked.question.format(name=person),
            "answer": mine.format(**own),
            "paraphrased_question": asked.other.format(name=person),
            "paraphrased_answer": other.format(**own),
            "perturbed_answer": [other.format(**drawn()) for _ in range(WRONG)],
            "subject": person,
        }


def written(folder: Path, seed: int) -> dict[str, str]:
    """Return the settings `graph.NAME` of the three files, which are written anew."""
    return {f"graph.{n}": _put(folder / f"{n}.jsonl", lines(seed)[n]) for n in FILES}


def twice(folder: Path, seed: int) -> dict[str, str]:
    """Return the same of two more: further people, asked about in either wording.

    For a model to be trained on, too, so that it understands questions in other words.
    """
    told = lines(seed)["both"]
    ways = {"forget": "question", "retain": "paraphrased_question"}
    return {
        f"graph.{name}": _put(
            folder / f"both_{way}.jsonl",
            [{"question": line[way], "answer": line["answer"]} for line in told],
        )
        for name, way in ways.items()
    }


def _put(path: Path, found: Sequence[Mapping[str, Json]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in found), encoding="utf-8")
    return str(path)
