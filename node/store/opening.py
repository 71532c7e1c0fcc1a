"""How a node comes by its store: opened, or founded from its genesis document the first time."""

from pathlib import Path

from node.config import Config
from node.errors import OperationError
from node.store.history import list_journal_rows
from node.store.store import Store
from protocol.chain.genesis import Genesis, decode_genesis
from protocol.errors import Rejected
from protocol.merkle.tree import StateTree
from protocol.transition import apply_genesis


def open_store(config: Config) -> Store:
    """Open the store of a node; found it from the genesis document the first time.

    Raises:
        OperationError: genesis.missing, genesis.other, and those of the store.
    """
    genesis = load_genesis(config.genesis_path)
    if not config.store_path.exists():
        found_store(config.store_path, genesis)
    store = Store.open(config.store_path, past_blocks=config.past_blocks)
    if store.genesis() != genesis:
        store.close()
        raise OperationError(
            "genesis.other",
            "Node did not start: the data folder holds another chain.",
            f"{config.genesis_path} is not the genesis of {config.store_path}.",
            "use a data folder of its own for each chain",
        )
    return store


def found_store(path: Path, genesis: Genesis) -> None:
    """Make the store of a chain at its genesis.

    Raises:
        OperationError: as `Store.create`.
    """
    execution = apply_genesis(genesis)
    items = ((key, value) for key, value in execution.writes.items() if value is not None)
    root = StateTree.build(genesis.tree_bits, items).root
    Store.create(path, genesis, execution.writes, root, list_journal_rows(execution))


def load_genesis(path: Path) -> Genesis:
    """Read a genesis document.

    Raises:
        OperationError: genesis.missing, genesis.malformed.
    """
    try:
        return decode_genesis(path.read_bytes())
    except FileNotFoundError:
        raise OperationError(
            "genesis.missing",
            "Node did not start: it has no chain.",
            f"{path} is missing.",
            "copy genesis.bin of the co-op there, or found a local one: coopd localnet up",
        ) from None
    except Rejected as refusal:
        raise OperationError(
            "genesis.malformed",
            "Node did not start: its genesis cannot be read.",
            f"{path}: {refusal}.",
            "copy genesis.bin of the co-op there again",
        ) from refusal
