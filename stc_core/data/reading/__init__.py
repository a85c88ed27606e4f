"""Reads files of every kind, format and encoding as rows of a table."""
