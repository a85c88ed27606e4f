"""Which files are a model, how they are loaded, what is said when they cannot be."""
