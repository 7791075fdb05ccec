"""The benchmark: `python -m bench`. What it measures, and the bounds that it asserts (design 10)."""
