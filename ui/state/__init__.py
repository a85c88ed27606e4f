"""Where the reader is: run, layer, neuron, text; in the session and in the URL."""
