"""What looks on while the node works, and changes no block. Start reading at `rounds.py`."""
