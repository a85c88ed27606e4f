"""The page Neurons: the map of neurons, one neuron, the search, the ablation."""
