"""Several nodes on one machine: `founding.py` makes a demo co-operative, `local.py` runs its processes,
`processes.py` starts and signals them, `faults.py` disturbs them on purpose.
"""
