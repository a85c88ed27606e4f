"""The classifiers: they predict and explain, and can be saved and opened again."""
