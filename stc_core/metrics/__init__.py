"""Scores of predictions, paired tests of classifiers, measures of generated text."""
