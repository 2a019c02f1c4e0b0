"""The sites that are measured: ours, and what a person would otherwise use, as alike as can be."""
