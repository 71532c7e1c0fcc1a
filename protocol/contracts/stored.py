"""Stored programs: bytes that wait in the state until somebody or something runs them.

A program comes as canonical bytes, is typed when it is stored and again when it runs, and lies in pieces,
because a record is small. This file does not know when a program runs nor with whose authority: jobs and
pending programs do.

*Source*: contracts.md 3.2, 3.3.
"""

from typing import TypeAlias

from protocol import codec
from protocol.errors import Rejected
from protocol.params import PROGRAM_STORED_BYTES_MAX, STORED_CHUNK_BYTES_MAX
from protocol.types import ContractId
from protocol.vm import gas
from protocol.vm.context import Context, fail
from protocol.vm.keys import uint_key
from protocol.vm.kinds import Data, Field
from protocol.vm.program import Template, parse_template
from protocol.vm.tables import SCHEMA, Table
from protocol.vm.view import View

ChunkRow: TypeAlias = tuple[int, bytes]

PROGRAM = Data("program", 1, PROGRAM_STORED_BYTES_MAX)


def program_table(contract: ContractId, number: int) -> Table[ChunkRow]:
    """Return the table in which a contract keeps its programs."""
    return Table(
        contract,
        number,
        "program",
        (uint_key("owner", 48), uint_key("piece", 8)),
        (Field("bytes", Data("piece", 1, STORED_CHUNK_BYTES_MAX)),),
        doc="Pieces of stored programs, by the number of what they belong to.",
    )


def read_template(ctx: Context, raw: bytes, actors: int, *, must_pin: bool = True) -> Template:
    """Type a program that is to be stored.

    Args:
        must_pin: False for what the chain's own contracts store for themselves.

    Raises:
        CallFailed: the code by which it is refused.
    """
    ctx.view.charge(len(raw) * gas.STORED_BYTE)
    try:
        return parse_template(codec.decode(raw, PROGRAM_STORED_BYTES_MAX), ctx.registry, actors, must_pin)
    except Rejected as rejected:
        fail(rejected.code, "vm.stored_program", None, rejected.detail[:64])


def save_program(view: View, table: Table[ChunkRow], owner: int, raw: bytes) -> None:
    """Keep a program."""
    for piece, at in enumerate(range(0, len(raw), STORED_CHUNK_BYTES_MAX)):
        chunk = raw[at : at + STORED_CHUNK_BYTES_MAX]
        table.put(view, table.key(owner, piece), (SCHEMA, chunk))


def load_program(view: View, table: Table[ChunkRow], owner: int) -> bytes:
    """Return a program that is kept; empty when there is none."""
    pieces: list[bytes] = []
    while len(pieces) * STORED_CHUNK_BYTES_MAX < PROGRAM_STORED_BYTES_MAX:
        row = table.get(view, table.key(owner, len(pieces)))
        if row is None:
            break
        pieces.append(row[1])
        if len(row[1]) < STORED_CHUNK_BYTES_MAX:
            break
    return b"".join(pieces)


def delete_program(view: View, table: Table[ChunkRow], owner: int) -> None:
    """Forget a program."""
    for piece in range(-(-PROGRAM_STORED_BYTES_MAX // STORED_CHUNK_BYTES_MAX)):
        key = table.key(owner, piece)
        if table.peek(view, key) is None:
            break
        table.delete(view, key)
