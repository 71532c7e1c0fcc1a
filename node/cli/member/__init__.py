"""The commands of `coop`: what a member reads, signs and proves. See `acting.py`, `cash.py`."""
