"""The two programs of the command line: `coopd` for operators (`main.py`), `coop` for members (`coop.py`).

Their commands stand in `operator/` and `member/`, which share what lies here and nothing of each other.
Nothing here loads libp2p; `coop` does not even load the database. A command that becomes a node loads it
inside its function.
"""
