"""The Trio shell: turns the outside world into inputs of the core and carries out its effects.

Deliberately empty of names. `daemon.py` is the composition root, `driver.py` the one loop.
"""
