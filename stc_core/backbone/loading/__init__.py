"""The files of a model, how they are loaded, and the errors when they cannot be."""
