"""Files of every kind, format and encoding, read as rows of a table."""
