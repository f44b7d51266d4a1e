"""Every measure over answers: its name, what it says, which probes it serves, its expression.

An expression sees the columns of answers.parquet and those of `prepared.PREPARED`. Its value is a
number a question, or null where it does not apply. Rules that all share (specification of
CounterFact, Meng et al. 2022, arXiv:2202.05262, and ours):

- log-probabilities are length-normalised (mean over the tokens of a candidate) unless a name
  ends in `_joint`;
- ties are failures;
- an alias is as good as the name where text is written, and only there (`probe/aliases.py` says
  which count);
- a question that got no answer counts as the failure that the column `failed` names, and shows
  in `skipped`.
"""

from dataclasses import dataclass

import polars as pl

from ksmith.measures.fluency import entropy
from ksmith.measures.groups import CHANGED, CHOICES, FOLLOWING, NEAR, TEXT
from ksmith.measures.prepared import at


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One row of the table. `low` and `high` bound its values, where anything does."""

    doc: str
    probes: tuple[str, ...]
    applies: pl.Expr  # to which of their questions
    value: pl.Expr
    better: str = "higher"  # higher, lower, or neither: "-"
    failed: float | None = 0.0  # the value of a question without an answer
    low: float | None = 0.0
    high: float | None = 1.0
    later: bool = False  # compares with step 0, so it has no row there
    first: bool = False  # about what was held before the update: it has rows at step 0 only

    @property
    def column(self) -> pl.Expr:
        """Return its value a question: Float64, null where it does not apply."""
        value = pl.when("answered").then(self.value.cast(pl.Float64))
        asked = pl.col("probe").is_in(self.probes) & self.applies
        if self.later:
            asked &= pl.col("step") > 0
        if self.first:
            asked &= pl.col("step") == 0
        return pl.when(asked).then(
            value.fill_null(self.failed) if self.failed is not None else value
        )


# A whole statement after an empty prompt is there to be compared, not to be written.
WRITTEN = pl.col("prompt") != ""

# Lists of other lengths can't be compared, not even where nobody asks for it.
SAME_PLACES = pl.when(
    pl.col("predicted").list.len() == pl.col("predicted_before").list.len()
).then("predicted")

MEASURES: dict[str, Measure] = {
    "success": Measure(
        doc="The right answer is more probable than its rival, per token.",
        probes=CHANGED + NEAR,
        applies=pl.col("has_pair"),
        value=pl.col("right_logp") > pl.col("rival_logp"),
    ),
    "success_joint": Measure(
        doc="The same with probabilities of whole answers, which favours short ones.",
        probes=CHANGED + NEAR,
        applies=pl.col("has_pair"),
        value=at("sum_logp", "right") > at("sum_logp", "rival"),
    ),
    "accuracy": Measure(
        doc="Every token of the right answer is the most probable one.",
        probes=(*CHANGED, *NEAR, "known"),
        applies=pl.col("right").is_not_null() & WRITTEN,
        value=at("argmax", "right"),
    ),
    "token_accuracy": Measure(
        doc="Share of the right answer's tokens that are the most probable one after those "
        "before them.",
        probes=CHANGED + NEAR,
        applies=pl.col("counted") & pl.col("right").is_not_null() & WRITTEN,
        value=at("hits", "right") / at("tokens", "right"),
    ),
    "generated": Measure(
        doc="The text that the model writes is the right answer, by its name or an alias, but for "
        "case, spacing and closing punctuation.",
        probes=CHANGED + NEAR,
        applies=pl.col("texts") & pl.col("right").is_not_null() & WRITTEN,
        value=pl.col("said") == pl.col("right_text"),
    ),
    "choice": Measure(
        doc="The right answer is the most probable of the objects of its type, per token.",
        probes=CHANGED,
        applies=pl.col("right_typed"),
        value=pl.col("above_right") == 1,  # itself alone
    ),
    "multiple_choice": Measure(
        doc="The right one of four options is the most probable, per token (for `letters`: its "
        "letter).",
        probes=CHOICES,
        applies=pl.col("right_offered"),
        value=pl.col("right_chosen"),
    ),
    "multiple_choice_corrected": Measure(
        doc="The same with guessing taken out: (accuracy - 1/4) / (1 - 1/4); 0 is chance.",
        probes=CHOICES,
        applies=pl.col("right_offered"),
        value=(pl.col("right_chosen").cast(pl.Float64) - 1 / pl.col("offered"))
        / (1 - 1 / pl.col("offered")),
        failed=-1 / 3,
        low=-1 / 3,
    ),
    "magnitude": Measure(
        doc="p(right) - p(rival), geometric means over tokens.",
        probes=CHANGED + NEAR,
        applies=pl.col("has_pair"),
        value=pl.col("right_logp").exp() - pl.col("rival_logp").exp(),
        failed=None,
        low=-1.0,
    ),
    "residual": Measure(
        doc="No object of the type is more probable than the old answer; before the update: it "
        "is known.",
        probes=CHANGED,
        applies=pl.col("old_typed"),
        value=pl.col("above_old") == 0,
        better="lower",
        failed=1.0,
    ),
    "residual_generated": Measure(
        doc="The text that the model writes is still the old answer, by its name or an alias.",
        probes=CHANGED,
        applies=pl.col("texts") & pl.col("right_before").is_not_null() & WRITTEN,
        value=pl.col("said") == pl.col("old_text"),
        better="lower",
        failed=1.0,
    ),
    "old_rank": Measure(
        doc="Share of the other objects of the type that are more probable than the old answer "
        "(0 it leads, .5 nothing is left of it, 1 it is pushed below all; ties count half).",
        probes=CHANGED,
        applies=pl.col("old_typed") & (pl.col("kinds") > 1),
        # The old answer is level with itself.
        value=(pl.col("above_old") + 0.5 * (pl.col("level_old").cast(pl.Float64) - 1))
        / (pl.col("kinds") - 1),
        better="-",
        failed=None,
    ),
    "evenness": Measure(
        doc="Entropy of the answer among the objects of the type, over the largest that it can "
        "be (1 all are as likely, 0 one is certain).",
        probes=CHANGED,
        applies=pl.col("kinds") > 1,
        # H = log Z - sum p x of p = e^x / Z.
        value=pl.col("of_type_sum")
        .list.eval(
            pl.element().exp().sum().log()
            - (pl.element().exp() * pl.element()).sum() / pl.element().exp().sum()
        )
        .list.first()
        / pl.col("kinds").log(),
        better="-",
        failed=None,
    ),
    "chance": Measure(
        doc="1 / the number of objects of the type among the candidates: what guessing gets.",
        probes=CHANGED,
        applies=pl.col("kinds") > 0,
        value=1 / pl.col("kinds"),
        better="-",
        failed=None,
        high=None,
    ),
    "recalled": Measure(
        doc="1 if no object of the type is more probable than the old answer, else 0, less "
        "chance: over 0 by its whole interval where the facts were held before the update.",
        probes=FOLLOWING,
        applies=pl.col("old_typed"),
        value=(pl.col("above_old") == 0).cast(pl.Float64) - 1 / pl.col("kinds"),
        low=-1.0,
        first=True,
    ),
    "recalled_scored": Measure(
        doc="The same, of the questions that also have a right answer after the update.",
        probes=FOLLOWING,
        applies=pl.col("old_typed") & pl.col("right").is_not_null(),
        value=(pl.col("above_old") == 0).cast(pl.Float64) - 1 / pl.col("kinds"),
        low=-1.0,
        first=True,
    ),
    "scored_before": Measure(
        doc="Of the questions that have a right answer after the update, those that had an old "
        "one, too: the share that `recalled_scored` speaks for.",
        probes=FOLLOWING,
        applies=pl.col("right").is_not_null(),
        value=pl.col("old_typed").fill_null(False),
        better="-",
        failed=None,
        first=True,
    ),
    "kept": Measure(
        doc="The most probable candidate is the one of before the update.",
        probes=NEAR,
        applies=pl.col("best_before").is_not_null(),
        value=pl.col("best") == pl.col("best_before"),
        later=True,
    ),
    "kept_generated": Measure(
        doc="The text that the model writes is the one of before the update.",
        probes=NEAR,
        applies=pl.col("texts") & pl.col("said_before").is_not_null(),
        value=pl.col("said") == pl.col("said_before"),
        later=True,
    ),
    "kept_tokens": Measure(
        doc="Share of the places of the right answer's tokens where the most probable token is "
        "the one of before the update, right or wrong.",
        probes=NEAR,
        applies=pl.col("counted") & (pl.col("predicted_before").list.len() > 0),
        value=(SAME_PLACES - pl.col("predicted_before"))
        .list.eval((pl.element() == 0).cast(pl.Float64))
        .list.mean(),
        later=True,
    ),
    "loss": Measure(
        doc="Nats per token of sentences that were never trained on.",
        probes=("utility",),
        applies=pl.col("right").is_not_null(),
        value=-pl.col("right_logp"),
        better="lower",
        failed=None,
        high=None,
    ),
    "entropy": Measure(
        doc="Of sampled text: the mean of 2/3 of its bigrams' entropy and 4/3 of its trigrams', "
        "in bits; text that repeats itself has little.",
        probes=(TEXT,),
        applies=pl.lit(True),
        value=entropy(pl.when(pl.col("probe") == TEXT).then("generated")),
        high=None,
    ),
}

# Not over the answers of one question, so not in the table above: name -> (probe, doc).
DERIVED: dict[str, tuple[str, str]] = {
    "score": (
        "counterfact, zsre",
        "Harmonic mean of efficacy, paraphrase and neighborhood: of their success "
        "(counterfact.score) or their token_accuracy (zsre.score).",
    ),
    "skipped": (
        "every probe",
        "How many of its questions got no answer; they count as failures.",
    ),
    # Those of gold models (`task.gold`), also under the probe "all": slices changed and kept,
    # and balanced, with half of the weight on each.
    "gold_distance": (
        "every probe but utility, all",
        "Jensen-Shannon divergence from the gold models over the objects of the type, in units "
        "of that between two gold models (1 can't be told from one of them; step 0 is the "
        "control).",
    ),
    "gold_distance_vocabulary": (
        "every probe but utility, all",
        "The same over the whole vocabulary, for the first token of the answer.",
    ),
    "gold_divergence": (
        "every probe but utility, all",
        "The divergence itself, in bits (0 the same, 1 nothing in common).",
    ),
    "gold_noise": (
        "every probe but utility, all",
        "The unit: mean divergence between two gold models, in bits.",
    ),
    "gold_margin": (
        "every probe but utility, all",
        "`gold_divergence` in units of the margin, which is that of the gold model that is "
        "farthest from the others: the interval, over updates and subjects, is within (all of it "
        "<= 1), outside (> 1) or undecided. Slice trained, of these too: what a method was "
        "trained on to keep, which no other slice holds.",
    ),
    "gold_margin_gold": (
        "every probe but utility, all",
        "`gold_margin` of each gold model, held to the others (three or more): geometric means of "
        "values and of ends of intervals, the control. Where it is undecided, so few facts would "
        "not show a gold model to be one. Of three it is 1 or more: its unit is then the one "
        "distance of two.",
    ),
    "gold_agreement": (
        "every probe but utility, all",
        "The most probable object of the type is the gold model's; mean over gold models.",
    ),
    "gold_unanimity": (
        "every probe but utility, all",
        "... is that of another gold model: what agreement can be.",
    ),
    "gold_accuracy": (
        "every probe but utility, all",
        "Gold models that give the right answer: the ceiling of accuracy.",
    ),
    "gold_cka": (
        "all",
        "1 - linear CKA of hidden states at the prompt's end, in units of that between two gold "
        "models; slices layer0, layer0.changed, layer0.kept and so on.",
    ),
}
