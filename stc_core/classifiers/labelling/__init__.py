"""What a classifier says of texts, and the tables that hold it."""
