"""The page Train: settings, estimate, progress, result."""
