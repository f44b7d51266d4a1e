"""The measures of forget, retain and holdout sets (probe "memory"): names and what they say."""

from dataclasses import dataclass

FORGET, RETAIN, HOLDOUT = SETS = ("forget", "retain", "holdout")
NEAR = "near"  # more of what is near the forget set: slice retain.near, and no other
TRAINED = "trained"  # what the method trained on to keep it: slice retain.trained, and no other
PROBE = "memory"

MARGIN = (
    "in units of the margin, which is that of the gold model that is farthest from the others: "
    "the interval, over updates and subjects, is within (all of it <= 1), outside (> 1) or "
    "undecided."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One row of the table."""

    doc: str
    better: str = "-"
    low: float | None = 0.0
    high: float | None = 1.0
    of: tuple[str, ...] = SETS


OF_STATEMENTS: dict[str, Memory] = {
    "probability": Memory(
        doc="exp(-mean NLL) of the answer; slices forget, retain and holdout, forget.seen, "
        ".unseen and .novel by wording, known.forget of what was known before, retain.near and "
        ".far of what no method trains on, retain.trained of what this one did, and gold.forget "
        "and so on, mean over gold models.",
    ),
    "rouge_recall": Memory(doc="ROUGE-L recall of the answer in what the model writes."),
    "rouge_f1": Memory(doc="Its F1."),
    "truth_ratio": Memory(
        doc="r = geometric mean of p(wrong) / p(answer), each per token, over 5 other objects of "
        "the type: mean min(r, 1/r) on forget (1 is indistinguishable), max(0, 1 - r) elsewhere. "
        "Where a file of questions has perturbed_answer or paraphrased_answer, those, as in TOFU.",
    ),
    "truth_ratio_prob_mean": Memory(
        doc="The other published definition: p(answer) / (p(answer) + p(wrong))."
    ),
    "extraction_strength": Memory(
        doc="1 - k/n: the least k of an answer's n tokens after which all are the most probable; "
        "0 where not even the last is.",
    ),
    "exact_memorisation": Memory(doc="Share of tokens that are the most probable one."),
    "kfr_exact": Memory(
        doc="What the model writes names the answer by none of its names.",
        better="higher",
        of=(FORGET,),
    ),
    "krr_exact": Memory(
        doc="What the model writes names the answer, by its name or an alias.",
        better="higher",
        of=(RETAIN, HOLDOUT),
    ),
}

OF_SETS: dict[str, Memory] = {
    **{
        f"auc_{name}": Memory(
            doc=f"Membership by {told}: how often a fact of the forget set scores as the likelier "
            "member of a pair with one of the holdout set, ties half (.5 can't be told).",
        )
        for name, told in {
            "loss": "loss",
            "zlib": "loss over compressed length",
            "min_k": "the 40 % least probable tokens",
            "min_k_plus": "the same, each standardised over the vocabulary",
            "reference": "loss less that of the model before the update",
            "gradient": "the norm of the gradient (`probe.memory_gradients`)",
        }.items()
    },
    "privleak": Memory(
        doc="PrivLeak, percent, by min_k: 100 ((1 - AUC) - (1 - AUC of gold)) / (1 - AUC of "
        "gold); below 0 members can still be told, above it they stand out as strangers.",
        low=None,
        high=None,
    ),
    "privleak_gold": Memory(
        doc="Mean |PrivLeak| of one gold model against another.", high=None
    ),
    "privleak_margin": Memory(
        doc=f"Mean |PrivLeak| against each gold model {MARGIN}", better="lower", high=None
    ),
    "kl": Memory(
        doc="Distance in answers: KL(gold || model) over the vocabulary in the places of an "
        "answer's tokens, nats, mean over gold models; slices forget, retain, holdout.",
        better="lower",
        high=None,
    ),
    "kl_gold": Memory(doc="The same of one gold model from the others.", high=None),
    "kl_margin": Memory(doc=f"`kl` {MARGIN}", better="lower", high=None),
    "ks": Memory(
        doc="Forget quality: Kolmogorov and Smirnov's D of the forget set's truth ratios and those "
        "of a gold model, mean over gold models (0 the same); an interval draws the facts of both.",
        better="lower",
    ),
    "ks_gold": Memory(doc="D of two gold models, mean over pairs."),
    "ks_margin": Memory(doc=f"`ks` {MARGIN}", better="lower", high=None),
    "ks_log10_p": Memory(
        doc="log10 of D's p-value, mean over gold models; of few facts it proves nothing.",
        low=None,
        high=0.0,
    ),
    "ks_p": Memory(doc="The same as a p-value: geometric mean over gold models."),
    "model_utility": Memory(
        doc="Harmonic mean of probability, rouge_recall and truth_ratio on retain, those of them "
        "that there are.",
        better="higher",
    ),
    "known": Memory(
        doc="Share of the forget set that the model knew before the update (step 0), asked in "
        "words that are scored nowhere: what slices known are of.",
        of=(FORGET,),
    ),
    "facts": Memory(
        doc="Facts of each set (slices forget, retain, holdout), both classes of an AUC: of the "
        "holdout set, which all draws are asked about, each once. Slices "
        "forget.broken and so on: those for which the model gives no number.",
        high=None,
    ),
}

MEMORY = {**OF_STATEMENTS, **OF_SETS}
