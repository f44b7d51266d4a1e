"""Groups of questions that measures serve: probes by what should become of the answer, and sets."""

CHANGED = (  # the answer should be another
    "efficacy",
    "paraphrase",
    "direct",
    "reverse",
    "multi_hop",
    "comparison",
    "conflict",
)
NEAR = ("neighborhood", "same_subject", "contextual", "attribute")  # the answer should stay
FOLLOWING = ("reverse", "multi_hop")  # facts that follow from a request, stored or derived
WORDED = (*(name for name in CHANGED if name != "efficacy"), "contextual")
TEXT = "fluency"  # whose answers are sampled texts
CHOICES = (*(name for name in WORDED if name != "paraphrase"), "letters")  # may have options
ASKED = (*CHANGED, *NEAR, "letters")
SET_PLUS = ("target", "entailed")  # sets of questions, whatever the probe: Q+, should change
SET_MINUS = ("neighbour", "unrelated")  # ... and Q-, should stay; "open" is neither
