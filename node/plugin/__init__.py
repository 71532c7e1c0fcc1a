"""A co-op's own contracts on this machine: found and loaded (`loading.py`), read (`lint.py`), tried."""
