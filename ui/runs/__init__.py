"""The page Runs: the list of runs, one run, and the trash."""
