"""Agreement: how blocks become final. Start reading at `engine.py`."""
