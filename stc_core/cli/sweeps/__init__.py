"""The commands about several trainings: sweep, rank."""
