"""Side-by-side benchmarks; each prints ratios and asserts nothing."""
