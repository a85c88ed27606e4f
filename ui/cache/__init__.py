"""Caches of what the pages read from run folders, valid until a file changes."""
