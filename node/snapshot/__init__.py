"""Snapshots on this machine and over the network. Start reading at `folder.py` and `making.py`."""
