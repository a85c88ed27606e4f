"""The page Layers: what each layer knows, and smaller classifiers."""
