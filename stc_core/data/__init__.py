"""A table of a user as a checked corpus: its columns, findings, splits and labels."""
