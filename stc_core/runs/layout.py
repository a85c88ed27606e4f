"""The names of files in a run folder."""

NU = "variability.json"
SPARSE = ("salience.safetensors", "frontier.parquet")
"""The files that cheaper classifiers are made from. A run with a tuned model has none
of them."""
