"""`coopd`, and `python -m node`."""

from node.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
