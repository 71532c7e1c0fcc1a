"""Block sync: how a node that lags gets final blocks. Start reading at `planner.py`."""
