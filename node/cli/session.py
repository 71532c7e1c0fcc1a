"""What the flags that every command of `coopd` has said in this run."""

from pathlib import Path

from node.cli.terminal import Terminal, default_language


class Session:
    """The flags of this run."""

    def __init__(self) -> None:
        self.terminal = Terminal(language=default_language())
        self.home: Path | None = None


session = Session()
