"""Types that params of several methods share: each says its bounds, so the OpenRPC document does as well."""

from typing import Annotated, Any, TypeAlias

import msgspec

At: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)] | str | None
"""A height, `latest` or `earliest`; left out it is `latest`."""

BlockRef: TypeAlias = (
    Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)] | Annotated[str, msgspec.Meta(max_length=66)] | None
)
"""A height, the 0x-hex id of a block, `latest` or `earliest`."""

HeightParam: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]
Hex: TypeAlias = Annotated[
    str, msgspec.Meta(pattern="^0x([0-9a-fA-F]{2})*$", max_length=200_000, description="bytes as 0x-hex")
]
TxIdParam: TypeAlias = Annotated[
    str, msgspec.Meta(max_length=90, description="transaction id: 0x-hex of 32 bytes, or tx1...")
]
AddressParam: TypeAlias = Annotated[str, msgspec.Meta(max_length=90, description="address, bech32m")]
Limit: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=200)]
CursorParam: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)] | None


class Params(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Params of a method, by name in camelCase or by position."""


class Read(msgspec.Struct, rename="camel", omit_defaults=True):
    """The answer of every read of state: at which height it holds, and what."""

    height: int
    value: Any
    proof: Any = None
