"""The page Errors: confusions, slices, label errors, trust."""
