"""What the model uses, for a ranking that weighs it."""
