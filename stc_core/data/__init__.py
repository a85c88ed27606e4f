"""A user's table as a checked corpus: its columns, findings, splits and labels."""
