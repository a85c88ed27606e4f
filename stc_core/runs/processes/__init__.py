"""Runs and label orders that a separate process does, one after another."""
