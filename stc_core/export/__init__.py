"""A run taken away: as one file that needs nothing else, or as an ONNX graph."""
