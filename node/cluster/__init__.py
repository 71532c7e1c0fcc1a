"""Several nodes on one machine: `founding.py` and `village.py` make demo co-operatives (`scenarios.py`),
`local.py` runs their processes, `processes.py` starts and signals them, `faults.py` disturbs them on purpose.
"""
