"""The page Train: the settings, the estimate, the progress, the result."""
