"""The words of the field, each in a sentence, and the pages that use them."""

TERMS = {
    "layer": "One step of the language model. Layer 0 is the embeddings of the words.",
    "hidden states": "The values that a layer passes on to the next one.",
    "FFN neurons": "The inner values of a layer's feed-forward network.",
    "probe": "A small classifier on the values of one layer. Its score shows how well "
    "the labels can be read there.",
    "pooling": "How the values of all words become one value for the text: that of the "
    "first or last word, the mean or the maximum.",
    "kept neuron": "A value that the classifier reads: a neuron and its pooling. A "
    "neuron that is read with two poolings counts twice.",
    "importance": "How much the probes rely on a neuron, over all classes.",
    "weight": "How much more likely a class becomes when the neuron is more active.",
    "logit": "The score of a class before the scores become probabilities.",
    "baseline": "A simpler way to predict the labels, for comparison.",
    "macro-F1": "The mean over the classes of F1. It is high only if few texts of a "
    "class are missed and few others are taken for it. Rare classes count fully.",
    "AUC": "How often a text of the class scores above another text. 50 % is luck.",
    "ECE": "How far the confidence is from the share of right answers, on average.",
    "95 %": "The true score is in this interval in 95 of 100 cases.",
    "ν (nu)": "The spread inside the classes, divided by the distance between them. "
    "Lower is better.",
    "tuning": "Training the language model itself, not only what reads it.",
    "slice": "A part of the texts, such as all long ones.",
    "path": "The labels of a text at all levels, from coarse to fine.",
}
OF_PAGE = {
    "Layers": (
        "layer",
        "probe",
        "hidden states",
        "FFN neurons",
        "pooling",
        "baseline",
        "macro-F1",
        "AUC",
        "95 %",
        "ν (nu)",
    ),
    "Neurons": ("kept neuron", "importance", "weight", "pooling", "FFN neurons"),
    "Examples": ("logit", "kept neuron", "layer"),
    "Errors": ("macro-F1", "ECE", "slice", "95 %"),
    "Compare": ("kept neuron", "macro-F1", "95 %"),
    "Hierarchy": ("path", "layer", "probe", "macro-F1"),
    "Adapt": ("ν (nu)", "tuning", "layer", "macro-F1"),
    "Train": ("baseline", "macro-F1", "kept neuron", "layer", "95 %"),
}


def terms_of(page: str) -> str | None:
    """The terms of a page with their meaning, as Markdown; None if it has none."""
    terms = OF_PAGE.get(page, ())
    return "  \n".join(f"**{term}**: {TERMS[term]}" for term in terms) or None
