"""Pooled activations of many texts: computed in batches, kept on disk, counted."""
