"""Benchmarks: the kernels beside the libraries that people would use, in one process, on one core, as ratios."""
