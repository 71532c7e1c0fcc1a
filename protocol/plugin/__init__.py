"""What a co-op's own contract may use: `v1.py` is all of it, and stays as it is. See docs/plugins.md."""
