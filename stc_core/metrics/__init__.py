"""Scores of predictions, paired tests between classifiers, measures of written text."""
