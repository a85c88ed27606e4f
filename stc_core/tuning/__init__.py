"""Training blocks of a backbone, as several recipes do it."""
