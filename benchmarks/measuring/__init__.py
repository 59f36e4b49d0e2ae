"""What the benchmarks share: projects to watch, the agent that watches them, and lines to print."""
