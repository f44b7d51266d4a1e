"""What the keys of gold models, sequences and hypernetworks cover: who shares them."""

from pathlib import Path

import pytest

from ksmith.study import nodes, read
from tests.study.files import HEAD, ROME, keys, only, written

GOLD = ROME + "scale = 3\ndraws = 2\ngold = 2\n"


def golds(found: dict[str, str], kind: str = "gold") -> dict[str, str]:
    return {role: key for role, key in found.items() if role.startswith(f"{kind}.")}


def test_each_draw_has_its_gold_models_and_the_trial_needs_what_they_say(
    tmp_path: Path,
) -> None:
    found = nodes(only(written(tmp_path, GOLD)))
    names = {f"{draw}.{number}" for draw in range(2) for number in range(2)}
    for kind in ("gold", "standard"):
        made = {role: node for role, node in found.items() if node.kind == kind}
        assert set(made) == {f"{kind}.{name}" for name in names}
        assert len({node.key for node in made.values()}) == 4
    assert found["standard.1.0"].needs["gold"] == found["gold.1.0"].key
    assert set(found["trial"].needs) == {
        *("graph", "model", "update", "before"),
        *(f"standard.{name}" for name in names),
    }
    order = list(found)
    for role, node in found.items():
        by_key = {other.key: name for name, other in found.items()}
        assert all(
            order.index(by_key[need]) < order.index(role) for need in node.needs.values()
        )


def test_only_what_is_compared_with_gold_models_says_how(tmp_path: Path) -> None:
    found, plain = nodes(only(written(tmp_path, GOLD))), nodes(only(written(tmp_path, ROME)))
    told = {role for role, node in found.items() if "version" in node.recipe.get("gold", {})}
    assert told == {"trial", *golds({role: "" for role in found})}
    assert "gold" not in plain["trial"].recipe


def test_methods_probes_and_further_draws_share_gold_models(tmp_path: Path) -> None:
    mine = keys(only(written(tmp_path, GOLD)))
    for line in ("task.method=memit", "task.draws=3", "probe.hops=2", "task.gold=3"):
        other = keys(only(written(tmp_path, GOLD), line))
        assert golds(mine).items() <= golds(other).items(), line
    other = keys(only(written(tmp_path, GOLD), "task.method=memit"))
    assert golds(other, "standard") == golds(mine, "standard")


@pytest.mark.parametrize(
    "line",
    [
        *("task.scale=4", "task.level=leaf", "task.kind=unlearn", "seed=1"),
        *("task.forget=entity", "task.relation=crop"),
        *("graph.seed=1", "model.steps=9", "model.seed=1"),
    ],
)
def test_gold_models_are_of_one_change_and_one_recipe(tmp_path: Path, line: str) -> None:
    mine = keys(only(written(tmp_path, GOLD)))
    other = keys(only(written(tmp_path, GOLD), line))
    assert not set(golds(mine).values()) & set(golds(other).values())


def test_a_study_without_gold_has_the_keys_it_had(tmp_path: Path) -> None:
    plain = keys(only(written(tmp_path, ROME)))
    assert keys(only(written(tmp_path, ROME + "gold = 0\n"))) == plain
    assert not golds(plain)


# --- sequences --------------------------------------------------------------------------------

SEQUENCE = ROME + "sequence = 100\ndraws = 2\n"


def test_a_sequence_is_asked_what_an_update_of_its_facts_at_once_is_asked(
    tmp_path: Path,
) -> None:
    long = keys(only(written(tmp_path, SEQUENCE)))
    once = keys(only(written(tmp_path, ROME + "scale = 100\ndraws = 2\n", "y.toml")))
    assert {role for role in long if long[role] != once[role]} == {"update", "trial"}


def test_a_sequence_of_entities_takes_facts_and_an_update_of_them_entities(
    tmp_path: Path,
) -> None:
    forget = 'forget = "entity"\n'
    long = nodes(only(written(tmp_path, SEQUENCE + forget)))
    text = ROME + "scale = 100\ndraws = 2\n" + forget
    once = nodes(only(written(tmp_path, text, "y.toml")))
    differ = {role for role in long if long[role].key != once[role].key}
    assert differ == {"before", "update", "trial"}
    assert long["before"].recipe["task"]["sequence"] == 100


def test_a_gold_model_is_of_a_share_and_of_any_draws(tmp_path: Path) -> None:
    text = ROME + "gold = 2\ndraws = 2\n"
    some = keys(only(written(tmp_path, text + "share = 0.2\n")))
    more = keys(only(written(tmp_path, text + "share = 0.5\n")))
    assert not set(golds(some).values()) & set(golds(more).values())
    other = keys(only(written(tmp_path, text + "share = 0.2\n"), "task.draws=5"))
    assert golds(some).items() <= golds(other).items()


@pytest.mark.parametrize(
    "line",
    [
        "batch = 1",
        "checkpoints = [1, 2, 5, 10, 20, 50]",
        "checkpoints = [1, 2, 5, 10, 20, 50, 100]",
    ],
)
def test_what_a_sequence_has_anyway_may_be_said(tmp_path: Path, line: str) -> None:
    plain = keys(only(written(tmp_path, SEQUENCE)))
    assert keys(only(written(tmp_path, SEQUENCE + line + "\n", "y.toml"))) == plain


def test_checkpoints_are_a_sequence_of_another_kind_with_or_without_their_end(
    tmp_path: Path,
) -> None:
    one, other = (
        keys(only(written(tmp_path, SEQUENCE + f"checkpoints = {list(at)}\n")))
        for at in ((30,), (30, 100))
    )
    assert one == other != keys(only(written(tmp_path, SEQUENCE)))


def test_no_sequence_has_the_keys_it_had(tmp_path: Path) -> None:
    plain = keys(only(written(tmp_path, ROME)))
    assert keys(only(written(tmp_path, ROME + "sequence = 0\nbatch = 1\n"))) == plain


def test_a_network_that_edits_knows_the_model_and_nothing_of_what_is_asked(
    tmp_path: Path,
) -> None:
    head = HEAD + '[grid]\n"task.method" = ["mend", "ft_l"]\n"task.scale" = [1, 100]\n'
    more = '"task.kind" = ["edit", "unlearn"]\nseed = [0, 1]\n'
    points = read(written(tmp_path, head + more)).points
    trials = [nodes(point) for point in points]
    networks = {found["hypernetwork"].key for found in trials if "hypernetwork" in found}
    assert (len(trials), len(networks)) == (16, 1)
    for point, found in zip(points, trials, strict=True):
        mend = point.settings["method"]["name"] == "mend"
        assert ("hypernetwork" in found) == ("hypernetwork" in found["update"].needs) == mend
        assert "hypernetwork" not in found["trial"].needs
        if mend:
            assert found["hypernetwork"].needs.keys() == {"graph", "model"}
