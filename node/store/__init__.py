"""The node's database: start reading at `store.py`. Empty of names on purpose."""
