"""Benchmarks: this service beside named peers and limits that do the same work, in turns within one run."""
