"""The selection, made again on other rows."""
