"""What the files of a run folder are called."""

NU = "variability.json"
SPARSE = ("salience.safetensors", "frontier.parquet")
"""What smaller classifiers are made of: there are none of a tuned one."""
