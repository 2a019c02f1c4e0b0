"""What the benchmarks are made of: servers as processes, load from another process, rounds, results."""
