"""What is claimed about speed, measured: `python -m benches` rewrites RESULTS.md."""
