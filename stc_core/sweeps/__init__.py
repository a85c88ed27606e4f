"""Several runs on one table: their settings, their folder, their order, their table."""
