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
HELD = (
    "of each gold model, held to the others (three or more): geometric means of values and of ends "
    "of intervals, the control. Where it is undecided, so few facts would not show a gold model to "
    "be one. Of three it is hardly below 1: its unit is then the one distance of two."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One row of the table."""

    doc: str
    better: str = "-"
    low: float | None = 0.0
    high: float | None = 1.0
    of: tuple[str, ...] = SETS


# Doc, which is better, highest, sets: by models that a study names (`probe.judge_*`).
JUDGED: dict[str, tuple[str, str, float | None, tuple[str, ...]]] = {
    "kfr": (
        "KFR of ReLearn: what the model writes contradicts the answer, or its coverage is at most "
        ".3 (.5 where the answer has 3 entities or fewer).",
        "higher",
        1.0,
        (FORGET,),
    ),
    "krr": (
        "KRR of ReLearn: the answer does not contradict it, and its coverage is at least .3.",
        "higher",
        1.0,
        (RETAIN, HOLDOUT),
    ),
    "entity_coverage": (
        "Coverage (ECS): pairs of a written entity and one of the answer whose vectors "
        "(`probe.judge_similarity`) have a cosine of .8 or more, over entities of the answer; 0 "
        "where either has none.",
        "-",
        None,
        SETS,
    ),
}

OF_STATEMENTS: dict[str, Memory] = {
    "probability": Memory(
        doc="exp(-mean NLL) of the answer, and of the token that ends a user's own, as in truth "
        "ratios and membership by loss; slices forget, retain and holdout, forget.seen, "
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
        "0 where not even the last is. The token that ends an answer is none of them.",
    ),
    "exact_memorisation": Memory(
        doc="Share of an answer's tokens, without the one that ends it, that are the most probable "
        "one."
    ),
    "ends": Memory(
        doc="The token that ends an answer, of a user's own, is the most probable one after it: "
        "near 0 before the update where a model was not tuned with it (`model.end`).",
    ),
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
    **{
        f"{name}{end}": Memory(doc=f"{doc} {of}", better=better, high=high, of=sets)
        for end, of in {
            "": "Entities are the names of the graph, or what `probe.judge_entities` marks.",
            "_words": "Of a user's own text without `probe.judge_entities`, whose entities nobody "
            "knows: names by their capitals, numbers, and words that are in no more than a tenth "
            "of the file's answers.",
        }.items()
        for name, (doc, better, high, sets) in JUDGED.items()
    },
    "contradiction": Memory(
        doc="What the model writes and the answer contradict each other (`probe.judge_nli`): the "
        "text is the premise on forget, the answer elsewhere. Of questions both stand alone; where "
        "an answer ends a sentence, both are the whole sentence.",
    ),
    "no_entity": Memory(
        doc="The answer has no entity but those of the question: its coverage is 0, and so KFR "
        "is 1 and KRR 0 whatever is written.",
    ),
    "judge_cut": Memory(
        doc="A judge read only the beginning: the text, or text and answer, is longer than it "
        "takes.",
        better="lower",
    ),
    "perplexity": Memory(
        doc="Perplexity, under the model before the update, of what the model writes, after its "
        "prompt; of gold models' texts, too.",
        better="lower",
        low=1.0,
        high=None,
    ),
    "brunet": Memory(
        doc="Brunet's index N^(V^-.165) of what the model writes, of N words, V of them "
        "different: the lower, the richer.",
        low=1.0,
        high=None,
    ),
    "honore": Memory(
        doc="Honore's statistic 100 ln N / (1 - V1/V + .1), V1 of them said once; 0 for one word.",
        high=1e6,
    ),
    "wordless": Memory(doc="The model writes no word; the three above are of the others."),
}

OF_SETS: dict[str, Memory] = {
    **{
        f"auc_{name}": Memory(
            doc=f"Membership by {told}: how often a fact of the forget set, in its seen wording, "
            "scores as the likelier member of a pair with one of the holdout set, in a wording "
            "drawn from the same, ties half (.5 can't be told).",
        )
        for name, told in {
            "loss": "loss",
            "zlib": "loss over compressed length",
            "min_k": "the 40 % least probable tokens, of which what ends an answer is none",
            "min_k_plus": "the same, each standardised over the vocabulary",
            "reference": "loss less that of the model before the update",
            "gradient": "the norm of the gradient (`probe.memory_gradients`), of the same tokens "
            "as min_k",
        }.items()
    },
    "privleak": Memory(
        doc="PrivLeak, percent, by min_k: 100 ((1 - AUC) - (1 - AUC of gold)) / (1 - AUC of "
        "gold); below 0 members can still be told (-100: all), above it they stand out as "
        "strangers. Where every pair says the same the interval has the ends of the AUC's.",
        low=-100.0,
        high=None,
    ),
    "privleak_gold": Memory(
        doc="Mean |PrivLeak| of one gold model against another.", high=None
    ),
    "privleak_margin": Memory(
        doc=f"Mean |PrivLeak| against each gold model {MARGIN}", better="lower", high=None
    ),
    "privleak_margin_gold": Memory(doc=f"`privleak_margin` {HELD}", high=None),
    "kl": Memory(
        doc="Distance in answers: KL(gold || model) over the vocabulary in the places of an "
        "answer's tokens, nats, mean over gold models; slices forget, retain, holdout.",
        better="lower",
        high=None,
    ),
    "kl_gold": Memory(doc="The same of one gold model from the others.", high=None),
    "kl_margin": Memory(doc=f"`kl` {MARGIN}", better="lower", high=None),
    "kl_margin_gold": Memory(doc=f"`kl_margin` {HELD}", high=None),
    "ks": Memory(
        doc="Forget quality: Kolmogorov and Smirnov's D of the forget set's truth ratios and those "
        "of a gold model, mean over gold models (0 the same); an interval "
        "draws the facts of both, and begins at 0 where they could be alike.",
        better="lower",
    ),
    "ks_gold": Memory(doc="D of two gold models, mean over pairs."),
    "ks_margin": Memory(doc=f"`ks` {MARGIN}", better="lower", high=None),
    "ks_margin_gold": Memory(doc=f"`ks_margin` {HELD}", high=None),
    "ks_log10_p": Memory(
        doc="log10 of D's p-value, from the exact distribution of two independent samples without "
        "ties (Gnedenko and Korolyuk), mean over gold models; of few facts it proves nothing.",
        low=None,
        high=0.0,
    ),
    "ks_p": Memory(doc="The same as a p-value: geometric mean over gold models."),
    "model_utility": Memory(
        doc="Harmonic mean of probability, rouge_recall and truth_ratio on retain, those of them "
        "that there are; slice retain.trained is of what this method trained on, as TOFU's is, and "
        "gold.retain the mean over gold models.",
        better="higher",
    ),
    "linguistic_score": Memory(
        doc="LS of ReLearn, how natural what is written reads: the harmonic mean of 1 / (1 + PPL), "
        "1 / (1 + BI) and HS / (1 + HS) of the means perplexity, brunet and honore of a set.",
        better="higher",
    ),
    "known": Memory(
        doc="Share of the forget set that the model knew before the update (step 0), asked in "
        "words that are scored nowhere (a user's own questions as they stand): what slices "
        "known are of.",
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
