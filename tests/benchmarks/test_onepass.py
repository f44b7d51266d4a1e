"""The benchmark of the one pass runs, at toy size, and both ways say the same."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import onepass, world


def test_what_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "onepass.json"
    words = ["short", "--shape", "toy", "--n", "2", "--repeats", "1", "--out", str(out)]
    onepass.main(words)
    (found,) = json.loads(out.read_text(encoding="utf-8"))
    assert found["case"] == "short" and found["difference"] < 1e-4
    for part in ("tokens", "with_truth_ratio"):
        told = found[part]
        assert told["ratio"] > 0 and 0 < told["one_pass_gflop"] < told["passes_gflop"]
        assert told["least_tokens"] < told["passes_tokens"] <= told["passes_padded"]


@pytest.mark.parametrize("case", ["long", "alike"])
def test_one_pass_and_a_pass_for_each_metric_agree(case: str) -> None:
    model, asked = world.model("toy"), onepass.CASES[case](2)
    one, other = onepass.once(model, asked), onepass.each(model, asked)
    assert one == {name: pytest.approx(value, abs=1e-4) for name, value in other.items()}


def test_wrong_answers_of_long_sentences_differ_from_the_reworded_one_in_three_words() -> None:
    asked = onepass.alike(4)
    for (_, answer), other, wrong in zip(asked.rows, asked.reworded, asked.wrong, strict=True):
        assert 15 <= len(answer.split()) <= 40
        for text in wrong:
            pairs = zip(text.split(), other.split(), strict=True)
            assert sum(a != b for a, b in pairs) == onepass.CHANGED


def test_the_tokens_of_passes_are_counted_by_hand() -> None:
    rows = [("The river", "o a"), ("The river", "o a o")]
    found = onepass.told(onepass.Set(rows, [], []))
    sizes = [2 + 1 + 2, 2 + 1 + 3]  # a start token, the prompt, the answer
    assert found["passes_tokens"] == 9 * sum(sizes) and found["passes_padded"] == 9 * 12
    assert found["least_tokens"] == max(sizes) - 1
    with_wrong = onepass.told(onepass.Set(rows, [], [["a"], ["o"]]))
    assert with_wrong["passes_tokens"] == pytest.approx(9 * sum(sizes) + 8)
    assert with_wrong["least_tokens"] == max(sizes) - 1
