"""Sparse logistic regressions on one pooled site each, with certified optima."""
