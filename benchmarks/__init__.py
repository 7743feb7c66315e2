"""What the README's figures come from: `make bench`, `make bench-peers`. See benchmarks/README.md."""
