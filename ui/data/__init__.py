"""Data: the table, its columns, its problems, and their repairs."""
