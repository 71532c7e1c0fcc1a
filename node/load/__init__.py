"""The load generator: `transfers.py` signs beforehand, `run.py` sends, follows the commits and reports."""
