"""The recipe `hierarchy`: a head for each level of labels, at a layer of its own."""
