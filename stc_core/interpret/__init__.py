"""Why one text gets its label, and what one neuron responds to."""
