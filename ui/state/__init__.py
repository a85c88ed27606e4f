"""What the user looks at (run, layer, neuron, text), in the session and in the URL."""
