"""The choice of a table, and of its text encoding."""
