"""`coop key` and `coop contacts`: the keys of this machine, and names for the addresses of others."""

import sys
from typing import Any

from cyclopts import App

from node.cli.member.member_session import session
from node.cli.terminal import Failure
from protocol.addresses import format_address
from protocol.contracts.policies import address_of_key

key_app = App(name="key", help="Keys of this machine.")
contacts_app = App(name="contacts", help="Names for addresses.")


@key_app.command(name="new")
def key_new(name: str, /, *, chinese: bool = False, plain: bool = False) -> None:
    """Make a key and show its recovery phrase once.

    Args:
        name: What to call it.
        chinese: Write the phrase with Chinese words.
        plain: Keep it unsealed: whoever reads the file can sign. For tests only.
    """
    from node.wallet.phrase import Language, new_phrase

    phrase = new_phrase(Language.CHINESE if chinese else Language.ENGLISH)
    entry = session.home.keyring.recover(name, phrase, None if plain else _new_passphrase())
    address = _address_text(entry.public_key)
    session.terminal.show(
        {"name": name, "address": address, "phrase": phrase.reveal()},
        f"{name}   {address}\n"
        f"Write these words down and keep them; they are the key:\n\n  {phrase.reveal()}\n",
    )


@key_app.command(name="recover")
def key_recover(name: str, /, *, plain: bool = False) -> None:
    """Make a key out of its recovery phrase, which is read from standard input.

    Args:
        name: What to call it.
        plain: Keep it unsealed: whoever reads the file can sign. For tests only.
    """
    words = session.terminal.secret("recovery phrase: ") if sys.stdin.isatty() else sys.stdin.readline()
    entry = session.home.keyring.recover(name, words, None if plain else _new_passphrase())
    address = _address_text(entry.public_key)
    session.terminal.show({"name": name, "address": address}, f"{name}   {address}")


@key_app.command(name="show")
def key_show() -> None:
    """List the keys of this machine with their addresses."""
    entries = [session.home.keyring.entry(name) for name in session.home.keyring.names()]
    rows = [{"name": e.name, "address": _address_text(e.public_key), "sealed": e.encrypted} for e in entries]
    lines = [f"{r['name']:<12} {r['address']}{'' if r['sealed'] else '   unsealed'}" for r in rows]
    session.terminal.show(rows, "\n".join(lines) or "no keys yet: coop key new NAME")


@contacts_app.command(name="add")
def contacts_add(name: str, address: str, /) -> None:
    """Give a name to an address."""
    session.home.find_address(address)
    contacts = session.home.contacts()
    contacts[name] = address
    session.home.save_contacts(contacts)
    session.terminal.show({"name": name, "address": address}, f"{name}   {address}")


@contacts_app.command(name="ls")
def contacts_ls() -> None:
    """List the names."""
    contacts = session.home.contacts()
    lines = [f"{name:<12} {address}" for name, address in sorted(contacts.items())]
    session.terminal.show(contacts, "\n".join(lines) or "no contacts yet: coop contacts add NAME ADDRESS")


@contacts_app.command(name="rm")
def contacts_rm(name: str, /) -> None:
    """Forget a name."""
    contacts = session.home.contacts()
    known = contacts.pop(name, None)
    session.home.save_contacts(contacts)
    session.terminal.show({"name": name, "removed": known is not None}, f"{name} is forgotten")


def _address_text(public_key: Any) -> str:
    try:
        hrp = session.home.chain().hrp
    except Failure:
        hrp = "coop"
    return format_address(address_of_key(public_key), hrp)


def _new_passphrase() -> str:
    first = session.terminal.secret("new passphrase: ")
    if session.terminal.secret("again: ") != first:
        raise Failure("No key was saved.", "the two passphrases differ.", "try again", "key.passphrase")
    return first
