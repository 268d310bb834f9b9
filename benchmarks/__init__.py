"""What the figures of README and benchmarks/README.md come from: `python -m benchmarks`."""
