"""The kinds of repeated selections, in words.

Whoever shows a run needs these alone, and none of what selects neurons.
"""

SEED_SHARE = 0.8
"""Another seed of the split would learn about so many of the rows."""
HALVES, BOOTSTRAP, SEEDS = "halves", "bootstrap", "seeds"
REPEATS = {
    HALVES: "random halves of the rows",
    BOOTSTRAP: "bootstrap samples of the rows",
    SEEDS: f"draws of {100 * SEED_SHARE:.0f} % of the rows, as other seeds would learn",
}
"""Each kind of repeat in words."""
NEARLY_ALWAYS = 0.9
"""A neuron counts as always chosen if this share of the selections keeps it."""
