"""The page Runs: the list, one run, the trash."""
