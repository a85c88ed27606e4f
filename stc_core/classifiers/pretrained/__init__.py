"""Classifiers that exist already: a model of transformers with its own head."""
