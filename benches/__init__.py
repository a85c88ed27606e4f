"""What is claimed, measured: `python -m benches` rewrites results/RESULTS.md."""
