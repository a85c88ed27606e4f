"""The page Compare: runs on the same data, sweeps of them, and two side by side."""
