"""What the benchmarks call our metrics."""

# Metric -> what the benchmark calls it, and where: the same numbers, which the papers show x 100.
PUBLISHED: dict[str, tuple[str, str]] = {
    "efficacy.success": ("ES, efficacy score", "CounterFact"),
    "paraphrase.success": ("PS, paraphrase score", "CounterFact"),
    "neighborhood.success": ("NS, neighborhood score", "CounterFact"),
    "efficacy.magnitude": ("EM, efficacy magnitude", "CounterFact"),
    "paraphrase.magnitude": ("PM, paraphrase magnitude", "CounterFact"),
    "neighborhood.magnitude": ("NM, neighborhood magnitude", "CounterFact"),
    "counterfact.score": ("S, score", "CounterFact"),
    "efficacy.accuracy": ("rewrite accuracy", "CounterFact, as MEMIT's code has it"),
    "paraphrase.accuracy": ("paraphrase accuracy", "CounterFact, as MEMIT's code has it"),
    "neighborhood.accuracy": ("neighborhood accuracy", "CounterFact, as MEMIT's code has it"),
    "attribute.success": ("attribute prompts", "CounterFact, as ROME's code has it"),
    "fluency.entropy": ("GE, generation entropy", "CounterFact"),
    "efficacy.token_accuracy": ("efficacy, rewrite accuracy", "zsRE"),
    "paraphrase.token_accuracy": ("paraphrase accuracy", "zsRE"),
    "neighborhood.token_accuracy": ("specificity, against the gold answer", "zsRE"),
    "zsre.score": ("score", "zsRE, MEMIT"),
    "neighborhood.kept_tokens": (
        "locality, against the prediction before",
        "zsRE and CounterFact in EasyEdit",
    ),
}
