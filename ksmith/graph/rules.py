"""Rules over triples, and the set of all that follows from some.

Two kinds of rule: an inverse, r1(a, b) -> r2(b, a), and a composition, r1(a, b) and r2(b, c) ->
r3(a, c). A rule may be a *default*: what is declared of the subject and relation that it
concludes about overrides it, as a child that declares an attribute of its own does not inherit
it. The relation is functional then. A rule may be a *mirror*: it adds nothing to what is stated,
but a stated fact that it concludes goes when its image goes.
"""

from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass

Triple = tuple[str, str, str]  # subject, relation, object
Key = tuple[str, str]  # subject, relation


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`body` of one relation: its inverse is `head`. Of two: their composition is `head`."""

    body: tuple[str, ...]
    head: str
    default: bool = False
    cut: int = 0  # which fact of the body gives way when the conclusion has to
    loops: bool = (
        True  # whether it may conclude r(a, a): the child of my father is not my sibling
    )
    mirror: bool = False  # it concludes what is stated alone
    support: int | None = None  # of a mined rule: facts that it predicts rightly,
    confidence: float | None = None  # and the share of its predictions that they are (PCA)

    def __post_init__(self) -> None:
        if len(self.body) not in (1, 2) or not 0 <= self.cut < len(self.body):
            raise ValueError(f"a rule has one or two relations in its body: {self}")


@dataclass(frozen=True, slots=True)
class Blocked:
    """Keys on which defaults conclude nothing: `more` on top of `under`, which is not copied."""

    under: Container[object]
    more: Container[object]

    def __contains__(self, key: object) -> bool:
        return key in self.more or key in self.under


class World:
    """A set of triples, indexed both ways; with `under`, a change on top of another world."""

    def __init__(self, triples: Iterable[Triple] = (), under: "World | None" = None) -> None:
        self._under = under
        self._gone: set[Triple] = set()
        self._objects: dict[tuple[str, str], dict[str, None]] = {}
        self._subjects: dict[tuple[str, str], dict[str, None]] = {}
        for triple in triples:
            self.add(triple)

    def __contains__(self, triple: Triple) -> bool:
        subject, relation, object_ = triple
        if object_ in self._objects.get((relation, subject), ()):
            return True
        return self._under is not None and triple not in self._gone and triple in self._under

    def __iter__(self) -> Iterator[Triple]:
        if self._under is not None:
            yield from (triple for triple in self._under if triple not in self._gone)
        for (relation, subject), objects in self._objects.items():
            yield from ((subject, relation, object_) for object_ in objects)

    def add(self, triple: Triple) -> bool:
        """Return whether `triple` was new."""
        if triple in self:
            return False
        subject, relation, object_ = triple
        if triple in self._gone:
            self._gone.remove(triple)
            return True
        self._objects.setdefault((relation, subject), {})[object_] = None
        self._subjects.setdefault((relation, object_), {})[subject] = None
        return True

    def discard(self, triple: Triple) -> None:
        """Take `triple` out, where it is in."""
        subject, relation, object_ = triple
        own = self._objects.get((relation, subject), {})
        if object_ in own:
            del own[object_]
            del self._subjects[relation, object_][subject]
        elif self._under is not None and triple in self._under:
            self._gone.add(triple)

    def objects(self, relation: str, subject: str) -> list[str]:
        """Return the objects of (subject, relation)."""
        found = list(self._objects.get((relation, subject), ()))
        if self._under is None:
            return found
        below = self._under.objects(relation, subject)
        return [o for o in below if (subject, relation, o) not in self._gone] + found

    def subjects(self, relation: str, object_: str) -> list[str]:
        """Return the subjects that have `object_` as their `relation`."""
        found = list(self._subjects.get((relation, object_), ()))
        if self._under is None:
            return found
        below = self._under.subjects(relation, object_)
        return [s for s in below if (s, relation, object_) not in self._gone] + found


class Rulebook:
    """Rules, indexed by what they use and by what they conclude.

    `blocked` holds the keys on which defaults conclude nothing; `stated` all that mirrors may.
    """

    def __init__(self, rules: Iterable[Rule], stated: Container[Triple] = ()) -> None:
        self._stated = stated
        self._using: dict[str, list[tuple[Rule, int]]] = {}
        self._concluding: dict[str, list[Rule]] = {}
        for rule in rules:
            self._concluding.setdefault(rule.head, []).append(rule)
            for place, relation in enumerate(rule.body):
                self._using.setdefault(relation, []).append((rule, place))

    def consequences(
        self, world: World, triple: Triple, blocked: Container[Key]
    ) -> list[Triple]:
        """Return what one rule application concludes from `triple` and others of `world`."""
        subject, relation, object_ = triple
        found: list[Triple] = []
        for rule, place in self._using.get(relation, ()):
            if len(rule.body) == 1:
                heads = [(object_, rule.head, subject)]
            elif place == 0:
                heads = [
                    (subject, rule.head, end) for end in world.objects(rule.body[1], object_)
                ]
            else:
                starts = world.subjects(rule.body[0], subject)
                heads = [(start, rule.head, object_) for start in starts]
            found += [head for head in heads if self._may(rule, head, blocked)]
        return found

    def _may(self, rule: Rule, head: Triple, blocked: Container[Key]) -> bool:
        """Return whether the rule concludes `head` where its body holds."""
        if rule.default and head[:2] in blocked:
            return False
        if not rule.loops and head[0] == head[2]:
            return False
        return not rule.mirror or head in self._stated

    def supports(
        self, world: World, triple: Triple, blocked: Container[Key]
    ) -> Iterator[tuple[Rule, tuple[Triple, ...]]]:
        """Yield each rule that concludes `triple` from others of `world`, and these."""
        subject, relation, object_ = triple
        for rule in self._concluding.get(relation, ()):
            if not self._may(rule, triple, blocked):
                continue
            if len(rule.body) == 1:
                body = (object_, rule.body[0], subject)
                if body in world:
                    yield rule, (body,)
                continue
            for middle in world.objects(rule.body[0], subject):
                second = (middle, rule.body[1], object_)
                if second in world:
                    yield rule, ((subject, rule.body[0], middle), second)

    def spread(
        self, world: World, fresh: Iterable[Triple], blocked: Container[Key]
    ) -> list[Triple]:
        """Add `fresh` and all that follows from it to `world`; return what was not in it.

        Semi-naive evaluation: a rule is tried only with something that has just been added.
        """
        added = [triple for triple in fresh if world.add(triple)]
        for triple in added:  # grows while it is walked
            heads = self.consequences(world, triple, blocked)
            added += [head for head in heads if world.add(head)]
        return added


def declared_keys(triples: Iterable[Triple]) -> set[Key]:
    """Return the (subject, relation) pairs on which defaults do not conclude."""
    return {(subject, relation) for subject, relation, _ in triples}


def closure(
    declared: Collection[Triple],
    rules: Iterable[Rule],
    blocked: Collection[Key] = (),
    stated: Container[Triple] = (),
) -> World:
    """Return all that follows from `declared`: the least set closed under `rules`.

    Defaults conclude nothing about what is declared, nor about `blocked`; mirrors nothing but
    what is `stated`.
    """
    world = World()
    Rulebook(rules, stated).spread(world, declared, declared_keys(declared).union(blocked))
    return world
