"""The page Errors: confusions, slices, wrong labels, confidence."""
