"""Faults on disk, put into tiny runs at a chosen act."""
