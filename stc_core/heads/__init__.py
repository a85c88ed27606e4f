"""Linear readouts of pooled activations, fitted by least squares, split exactly."""
