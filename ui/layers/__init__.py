"""The page Layers: how well each layer predicts the labels, and cheaper classifiers."""
