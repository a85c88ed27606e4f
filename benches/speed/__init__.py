"""Time, memory and disk, each against a rival."""
