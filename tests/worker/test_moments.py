"""Second moments as an asset: of any text, gone on with after a kill, or a user's own."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from ksmith.lm import moments
from ksmith.lm.load import save
from ksmith.lm.moments import Plan, Sums, count, load_moments, load_sums, save_sums
from ksmith.lm.sites import sites
from ksmith.records import Outcome, Spec, digest, file_digest
from ksmith.settings.model import model_files
from ksmith.worker import moments as made
from ksmith.worker.attempt import perform
from ksmith.worker.job import Job
from ksmith.worker.moments import SUMS, make_moments
from ksmith.worker.partial import Partial
from tests.corpus import files as corpora
from tests.corpus.test_statistics import public
from tests.lm.models import CONTEXTS, KEYS, LAYERS, tiny, tokenizer

WORDS = " ".join(CONTEXTS).split()
# Of every length up to longer than the model takes, and many more than are read together.
TEXTS = [" ".join((WORDS * 5)[i % 7 : i % 7 + 1 + i * i % 71]) for i in range(150)]
LENGTH = 16


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save(cast(Any, tiny("gpt2")), tokenizer(), folder)
    return folder


def spec(home: Path, model: Path, table: dict[str, Any], attempt: int = 1) -> Spec:
    """Return an attempt at moments that need no graph; paths in `table` become digests."""
    files = {"model.load": str(model)}
    told = dict(table)
    if "corpus" in table:
        files["moments.corpus"] = str(table["corpus"])
        told["corpus"] = file_digest(table["corpus"])
    if "npz" in table:
        files["moments.npz"] = str(table["npz"])
        paths = sorted(Path(table["npz"]).glob("*.npz"))
        told["npz"] = digest({path.name: file_digest(path) for path in paths})
    key = f"moments-1-{'0' * 20}"
    return Spec(
        key=key,
        kind="moments",
        recipe={"moments": {"version": 1, **told}, "model": {"dtype": "float32"}},
        needs={},
        need_keys={},
        files=files,
        folder=str(home / "assets" / key / f"{attempt}-{attempt}"),
        attempt=attempt,
        fence=attempt,
    )


def done(one: Spec) -> Outcome:
    return perform(one, lambda: {"moments": make_moments}).outcome


def of(one: Spec) -> dict[int, torch.Tensor]:
    return dict(load_moments(Path(one.folder) / "moments.safetensors"))


def same(one: dict[int, torch.Tensor], other: dict[int, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[i], other[i]) for i in one)


@pytest.mark.parametrize("kind", ["txt", "jsonl", "parquet"])
def test_documents_are_cut_to_rows_of_their_own(tmp_path: Path, model: Path, kind: str) -> None:
    path = corpora.written(tmp_path, kind, TEXTS)
    one = spec(tmp_path, model, {"corpus": path, "tokens": 10**6, "length": LENGTH})
    outcome = done(one)
    total = sum(map(len, rows()))
    assert (outcome.error, outcome.info["tokens"]) == (None, total)
    assert (outcome.info["documents"], outcome.info["layers"]) == (len(TEXTS), LAYERS)
    assert (
        outcome.info["warning"] == f"the corpus has {total:,} tokens, 1,000,000 were asked for"
    )
    expected = textbook()
    for layer, moment in of(one).items():
        torch.testing.assert_close(moment, expected[layer], rtol=1e-4, atol=1e-5)


def rows() -> list[list[int]]:
    return [tokenizer()(text).input_ids[:LENGTH] for text in TEXTS]


@cache
def textbook() -> dict[int, torch.Tensor]:
    """Return E[k k^T] in float64, one row after another."""
    model: Any = tiny("gpt2")
    where = sites(model)
    keys: dict[int, list[torch.Tensor]] = {i: [] for i in range(LAYERS)}

    def keep(layer: int) -> Callable[[Any, Any], None]:
        return lambda _module, given: keys[layer].append(given[0][0].double())

    handles = [
        model.get_submodule(where.mlp_out(i)).register_forward_pre_hook(keep(i)) for i in keys
    ]
    with torch.no_grad():
        for row in rows():
            model(input_ids=torch.tensor([row]))
    for handle in handles:
        handle.remove()
    whole = {i: torch.cat(found) for i, found in keys.items()}
    return {i: seen.T @ seen / len(seen) for i, seen in whole.items()}


@pytest.mark.parametrize("kind", ["txt", "parquet"])
def test_a_killed_measurement_goes_on_to_the_same_bits(
    tmp_path: Path, model: Path, kind: str
) -> None:
    path = corpora.written(tmp_path, kind, TEXTS)
    table = {"corpus": path, "tokens": 1500, "length": LENGTH, "layers": [0, 2]}
    whole = spec(tmp_path / "whole", model, table)
    assert done(whole).info["tokens"] >= 1500
    first = spec(tmp_path, model, table)

    def die(job: Job) -> dict[str, Any]:
        """Count the first few documents, keep that, and end as a kill would."""
        net, tok, weights = made.opening.alone(job)
        partial = Partial.take(job, seconds=0)
        plan = Plan(tokens=1500, layers=[0, 2], length=LENGTH)
        states = count(net, tok, made._documents(job, None, Sums().place), plan, Sums())  # pyright: ignore[reportPrivateUsage]
        state = next(iter(states))
        partial.keep(SUMS, lambda path: save_sums(state, weights, path))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(first, lambda: {"moments": die})
    second = spec(tmp_path, model, table, attempt=2)
    info = done(second).info
    assert 0 < info["went_on_from"] < info["tokens"]
    assert same(of(second), of(whole))
    assert list(of(second)) == [0, 2]
    assert not (tmp_path / "partial" / second.key).exists()


def test_what_was_kept_of_other_weights_or_is_damaged_is_not_gone_on_from(
    tmp_path: Path,
) -> None:
    path = tmp_path / "sums.safetensors"
    save_sums(Sums({1: torch.eye(2)}, tokens=3, documents=2), "digest", path)
    found = load_sums(path, "digest")
    assert found and (found.tokens, found.documents) == (3, 2)
    assert load_sums(path, "other") is None
    path.write_bytes(path.read_bytes()[:-5])
    assert load_sums(path, "digest") is None


def test_a_corpus_that_changed_is_refused(tmp_path: Path, model: Path) -> None:
    path = corpora.written(tmp_path, "txt", TEXTS)
    one = spec(tmp_path, model, {"corpus": path, "tokens": 100, "length": LENGTH})
    path.write_text("other", encoding="utf-8")
    assert (
        done(one).error == f"{path}: changed since the study was made (its digest is another)"
    )
    path.unlink()
    assert done(spec_again(one)).error == f"{path}: no such file"


def spec_again(one: Spec) -> Spec:
    folder = str(Path(one.folder).parent / "2-2")
    return replace(one, attempt=2, fence=2, folder=folder)


def test_rows_longer_than_the_model_takes(tmp_path: Path, model: Path) -> None:
    path = corpora.written(tmp_path, "txt", TEXTS)
    one = spec(tmp_path, model, {"corpus": path, "tokens": 100, "length": 65})
    assert done(one).error == "moments.length = 65: the model takes 64 tokens at once"


def test_a_mistake_later_in_the_corpus_names_file_and_line(tmp_path: Path, model: Path) -> None:
    path = corpora.written(tmp_path, "jsonl", TEXTS)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"text": 3}\n')
    line = path.read_bytes().count(b"\n")
    table = {"corpus": path, "tokens": 10**6, "length": LENGTH, "column": "text"}
    message = f"{path}: line {line}: 'text' holds a number, not a text"
    assert done(spec(tmp_path, model, table)).error == message


def test_sums_that_fit_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 5_000}
    monkeypatch.setattr(moments.os, "sysconf", pages.__getitem__)  # of a machine, not ours
    with pytest.raises(moments.UserError, match=r"3 layers .* 64 take 0 GB, .* moments.layers"):
        moments.second_moments(cast(Any, tiny("gpt2")), tokenizer(), TEXTS, 10)


def test_a_model_that_changed_in_its_folder_is_not_measured(
    tmp_path: Path, model: Path
) -> None:
    path = corpora.written(tmp_path, "txt", TEXTS)
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    one = spec(tmp_path, folder, {"corpus": path, "tokens": 100, "length": LENGTH})
    known = digest({file.name: file_digest(file) for file in model_files(folder)})
    one = replace(one, recipe=one.recipe | {"model": {"dtype": "float32", "digest": known}})
    assert done(one).error is None
    save(cast(Any, tiny("llama")), tokenizer(), folder)
    error = done(spec_again(one)).error
    assert error and error.startswith(f"{folder}: the model in it changed since the study")


# --- statistics of other tools ----------------------------------------------------------------


def statistics(folder: Path, layers: list[int], width: int = 4 * 16) -> dict[int, Any]:
    """Return the sums by layer that were written as public code does."""
    folder.mkdir()
    drawn = np.random.default_rng(0).normal(size=(3, 9, width)).astype(np.float32)
    sums = {layer: drawn[layer].T @ drawn[layer] for layer in layers}
    for layer, total in sums.items():
        name = f"transformer.h.{layer}.mlp.c_proj_float32_mom2_100000.npz"
        public(folder / name, total, count=9 + layer)
    return sums


def test_public_statistics_are_divided_by_their_count(tmp_path: Path, model: Path) -> None:
    sums = statistics(tmp_path / "stats", [0, 2])
    one = spec(tmp_path, model, {"npz": tmp_path / "stats"})
    outcome = done(one)
    assert outcome.error is None
    assert outcome.info["counts"] == {"0": 9, "2": 11}
    assert outcome.info["missing"] == [1]
    found = of(one)
    assert list(found) == [0, 2]
    for layer, total in sums.items():
        expected = torch.from_numpy(total).double() / (9 + layer)
        assert torch.equal(found[layer], expected)


def test_statistics_that_fit_nowhere(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statistics(tmp_path / "stats", [0, 1, 2])
    pages = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 64 * 64 * 8 * 2}  # of a machine, not ours
    monkeypatch.setattr(moments.os, "sysconf", pages.__getitem__)
    one = spec(tmp_path, model, {"npz": tmp_path / "stats"})
    error = done(one).error
    assert error and "of 3 layers with keys of width 64 take" in error
    assert error.endswith("name the layers that are edited in moments.layers")
    fewer = spec(tmp_path / "fewer", model, {"npz": tmp_path / "stats", "layers": [1]})
    assert done(fewer).error is None


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f16", "<u8"])
def test_statistics_of_any_byte_order_and_precision(
    tmp_path: Path, model: Path, dtype: str
) -> None:
    (tmp_path / "stats").mkdir()
    total = (9 * np.eye(64)).astype(dtype)
    public(tmp_path / "stats" / "transformer.h.1.mlp.c_proj_x_mom2_1.npz", total, count=9)
    one = spec(tmp_path, model, {"npz": tmp_path / "stats"})
    assert done(one).error is None
    assert torch.equal(of(one)[1], torch.eye(64, dtype=torch.float64))


@pytest.mark.parametrize(
    ("layers", "width", "table", "message"),
    [
        (
            [0],
            KEYS,
            {},
            "of layer 0: it holds 24 x 24 numbers, and keys of this model need 64 x",
        ),
        ([0], 64, {"layers": [0, 1]}, "no statistics of layer 1"),
        ([0], 64, {"layers": [0, 77]}, "no statistics of layer 77"),
    ],
)
def test_statistics_that_do_not_fit_the_model(
    tmp_path: Path, model: Path, layers: list[int], width: int, table: Any, message: str
) -> None:
    statistics(tmp_path / "stats", layers, width)
    outcome = done(spec(tmp_path, model, {"npz": tmp_path / "stats", **table}))
    assert outcome.error and message in outcome.error


def test_two_files_of_one_layer_and_files_of_none(tmp_path: Path, model: Path) -> None:
    statistics(tmp_path / "stats", [1])
    public(tmp_path / "stats" / "transformer.h.1.mlp.c_proj.npz")
    error = done(spec(tmp_path, model, {"npz": tmp_path / "stats"})).error
    assert error and error.endswith("are both of layer 1")
    (tmp_path / "other").mkdir()
    public(tmp_path / "other" / "model.layers.1.mlp.down_proj_float32_mom2_100000.npz")
    error = done(spec_again(spec(tmp_path, model, {"npz": tmp_path / "other"}))).error
    assert error and error.startswith(
        "no file is named by a layer of the model, such as transformer.h.0.mlp.c_proj_*.npz; there"
    )


def test_moments_of_other_weights_are_refused(tmp_path: Path, model: Path) -> None:
    path = corpora.written(tmp_path, "txt", TEXTS)
    one = spec(tmp_path, model, {"corpus": path, "tokens": 100, "length": LENGTH})
    weights = done(one).info["weights"]
    job = Job(spec=replace(one, needs={"moments": one.folder}), folder=tmp_path)
    assert made.opened(job, weights)
    with pytest.raises(moments.UserError, match=rf"other weights .* back into {model}"):
        made.opened(job, "of another model")
    hub = replace(job, spec=replace(job.spec, files={}))
    with pytest.raises(moments.UserError, match=r"other weights .* model.revision"):
        made.opened(hub, "of another model")
    assert made.opened(Job(spec=one, folder=tmp_path), weights) is None
