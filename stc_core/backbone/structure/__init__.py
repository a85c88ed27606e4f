"""Finds the blocks and down-projections of an unknown model."""
