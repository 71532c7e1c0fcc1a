"""Version 1 of the interface for plugins is frozen: names and signatures, in v1.txt."""

import inspect
from pathlib import Path

from protocol.plugin import v1

FROZEN = Path(__file__).with_name("v1.txt")


def describe() -> str:
    """Write every name of the interface, with its signature and its public members."""
    lines: list[str] = []
    for name in v1.__all__:
        one = getattr(v1, name)
        lines.append(f"{name}{_signature(one)}")
        if inspect.isclass(one) and one.__module__.startswith("protocol.plugin"):
            for member, value in inspect.getmembers(one):
                if not member.startswith("_"):
                    lines.append(f"    {name}.{member}{_signature(value)}")
    return "\n".join(lines) + "\n"


def _signature(one: object) -> str:
    if not callable(one) or one in (v1.Contract, v1.Ctx, v1.QueryCtx, v1.Take, v1.Address, v1.ContractId):
        return ""  # these are given, not made
    if not inspect.isfunction(one) and not hasattr(one, "__dataclass_fields__") and one is not v1.Records:
        return ""
    parameters = inspect.signature(one).parameters.values()
    return "(" + ", ".join(_parameter(p) for p in parameters) + ")"


def _parameter(parameter: inspect.Parameter) -> str:
    star = {parameter.VAR_POSITIONAL: "*", parameter.KEYWORD_ONLY: "keyword "}.get(parameter.kind, "")
    default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
    return f"{star}{parameter.name}{default}"


def test_the_interface_is_frozen() -> None:
    assert describe() == FROZEN.read_text(), "what changes becomes v2.py: chains run plugins that use this"


if __name__ == "__main__":
    FROZEN.write_text(describe())
