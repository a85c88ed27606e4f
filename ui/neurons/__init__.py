"""The page Neurons: the map, one neuron, search, ablation."""
