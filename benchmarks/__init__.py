"""async_uploads beside what a person would otherwise use, on the same machine in the same run."""
