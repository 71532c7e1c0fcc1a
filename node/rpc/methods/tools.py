"""Small questions that need no chain: addresses, payment requests, amounts."""

from typing import Annotated, Any

import msgspec

from node.rpc.amounts import BadAmount, format_amount
from node.rpc.dispatch import Method
from node.rpc.failure import RpcFailure
from node.rpc.forms import Form
from node.rpc.methods.params import AddressParam, Params
from node.rpc.payment_uri import BadPaymentUri, parse_payment_uri
from node.rpc.service import Call
from node.rpc.values import to_hex
from protocol.addresses import parse_address


class DecodeParams(Params):
    """An address."""

    address: AddressParam


class UriParams(Params):
    """A payment request."""

    uri: Annotated[str, msgspec.Meta(max_length=1_024)]


class FormatParams(Params):
    """Minor units, and how many decimals the asset has."""

    amount: Annotated[str, msgspec.Meta(pattern="^-?[0-9]{1,19}$")]
    decimals: Annotated[int, msgspec.Meta(ge=0, le=9)] = 2
    currency: Annotated[str, msgspec.Meta(max_length=12)] = ""


class DecodedAddress(Form):
    """The network and the bytes of an address."""

    network: str
    bytes: str
    is_here: bool


class PaymentForm(Form):
    """What a payment request says."""

    address: str
    amount: str | None
    currency: str | None
    memo: str | None
    reference: str | None
    expires: int | None


async def decode_address(call: Call, params: DecodeParams) -> DecodedAddress:
    """Say which network an address is of, and whether it is this one."""
    hrp, address = parse_address(params.address)
    return DecodedAddress(hrp, to_hex(address), hrp == call.facts.hrp)


async def parse_uri(call: Call, params: UriParams) -> PaymentForm:
    """Take a payment request apart."""
    try:
        found = parse_payment_uri(params.uri)
    except BadPaymentUri as bad:
        raise RpcFailure("rpc.bad_params", detail=f"{bad} - at `$.uri`") from None
    return PaymentForm(
        found.address, found.amount, found.currency, found.memo, found.reference, found.expires
    )


async def format_params(call: Call, params: FormatParams) -> str:
    """Write minor units as people read them."""
    try:
        return format_amount(int(params.amount), params.decimals, params.currency)
    except BadAmount as bad:
        raise RpcFailure("rpc.bad_params", detail=f"{bad} - at `$.amount`") from None


METHODS: tuple[Method[Any], ...] = (
    Method("util_decodeAddress", DecodeParams, DecodedAddress, "What an address is.", decode_address),
    Method("util_parseUri", UriParams, PaymentForm, "What a payment request says.", parse_uri),
    Method("util_formatAmount", FormatParams, str, "Minor units as people read them.", format_params),
)
