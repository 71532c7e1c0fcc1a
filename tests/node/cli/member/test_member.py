"""The member's folder and commands, without any node: pins, contacts, keys, usage."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from node.cli.member.member_home import Connection, MemberHome
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Exit, Failure
from node.cluster.founding import demo_address, demo_phrase, make_genesis, make_operators
from protocol.addresses import HRP_MAIN, HRP_TEST, format_address

GENESIS = make_genesis(make_operators(1), 1_767_225_600_000)
OTHER = make_genesis(make_operators(1), 1_767_225_600_000)
BO = format_address(demo_address("bo"), HRP_TEST)


@pytest.fixture
def home(tmp_path: Path) -> MemberHome:
    member = MemberHome(tmp_path)
    member.pin(Connection("http://127.0.0.1:1"), GENESIS)
    return member


def coop(home: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    code = "from node.cli.coop import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments, "--home", str(home)],
        capture_output=True,
        text=True,
        input=stdin,
        env={"LANG": "C.UTF-8", "NO_COLOR": "1", "COLUMNS": "100"},
    )


def test_another_chain_is_never_pinned_by_accident(home: MemberHome) -> None:
    with pytest.raises(Failure) as refused:
        home.pin(Connection("http://127.0.0.1:2"), OTHER)
    assert refused.value.label == "member.other_chain" and home.chain().genesis == GENESIS
    home.pin(Connection("http://127.0.0.1:2"), OTHER, replace=True)
    assert home.chain().genesis == OTHER and home.connection().url == "http://127.0.0.1:2"


def test_a_folder_without_a_chain_says_how_to_connect(tmp_path: Path) -> None:
    for ask in (MemberHome(tmp_path).chain, MemberHome(tmp_path).connection):
        with pytest.raises(Failure) as refused:
            ask()
        assert "coop connect" in refused.value.do


def test_people_are_found_by_name_key_or_address(home: MemberHome) -> None:
    home.save_contacts({"bo": BO})
    home.keyring.recover("ada", demo_phrase("ada"), None)
    assert home.find_address("bo") == home.find_address(BO) == demo_address("bo")
    assert home.find_address("ada") == demo_address("ada")
    assert home.name_of(demo_address("bo")) == "bo" and "..." in home.name_of(demo_address("cy"))


@pytest.mark.parametrize(
    ("who", "label"),
    [
        ("nobody", "member.no_contact"),
        (BO[:-1] + ("q" if BO[-1] != "q" else "p"), "E1130 auth.bad_address"),
        (format_address(demo_address("bo"), HRP_MAIN), "E1130 auth.bad_address"),
    ],
)
def test_a_wrong_receiver_is_refused_before_anything_is_signed(
    home: MemberHome, who: str, label: str
) -> None:
    with pytest.raises(Failure) as refused:
        home.find_address(who)
    assert refused.value.label == label


def test_which_key_acts_is_never_guessed(home: MemberHome) -> None:
    with pytest.raises(Failure) as refused:
        home.pick_key(None)
    assert refused.value.label == "member.no_key"
    home.keyring.recover("ada", demo_phrase("ada"), None)
    assert home.pick_key(None) == "ada"
    home.keyring.recover("bo", demo_phrase("bo"), None)
    assert home.pick_key("bo") == "bo"
    with pytest.raises(Failure):
        home.pick_key(None)


def test_a_node_that_is_not_there_is_exit_code_three() -> None:
    with pytest.raises(Failure) as refused:
        RpcClient("http://127.0.0.1:1").call("node_getInfo")
    assert refused.value.code is Exit.UNREACHABLE and not refused.value.is_applied_unknown
    with pytest.raises(Failure):
        RpcClient("ftp://x")


def test_commands_and_their_exit_codes(home: MemberHome) -> None:
    made = coop(home.path, "key", "new", "eve", "--plain", "--json")
    assert made.returncode == 0 and len(json.loads(made.stdout)["phrase"].split()) == 12
    recovered = coop(home.path, "key", "recover", "ada", "--plain", stdin=demo_phrase("ada").reveal() + "\n")
    assert format_address(demo_address("ada"), HRP_TEST) in recovered.stdout
    assert "unsealed" in coop(home.path, "key", "show").stdout
    assert coop(home.path, "contacts", "add", "bo", BO).returncode == 0
    assert json.loads(coop(home.path, "contacts", "ls", "--json").stdout) == {"bo": BO}
    assert coop(home.path, "me", "--as", "ada").returncode == 3
    assert coop(home.path, "pay", "bo", "--as", "ada").returncode == 2
    assert coop(home.path, "verify", "receipt", "nothing").returncode == 2
    assert coop(home.path, "no-such-command").returncode == 2
    refused = coop(home.path, "key", "new", "eve", "--plain", "--lang", "zh")
    assert refused.returncode == 1 and "原因" in refused.stderr and "E0151 key.exists" in refused.stderr


def test_coopd_sets_up_a_folder_and_explains_its_settings(tmp_path: Path) -> None:
    def coopd(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "node", *arguments, "--home", str(tmp_path / "n")]
        return subprocess.run(command, capture_output=True, text=True)

    made = coopd("init", "--name", "mill", "--json")
    keys = json.loads(made.stdout)["keys"]
    assert (
        set(keys) == {"node", "consensus"} and (tmp_path / "n" / "gateway.token").stat().st_mode & 0o77 == 0
    )
    assert coopd("init").returncode == 1
    assert json.loads(coopd("keys", "show", "--json").stdout) == keys
    assert 'operator = "mill"' in coopd("config", "show").stdout
    assert coopd("run").returncode == 1 and coopd("status").returncode == 3
    assert coopd("db", "check").returncode == 1 and coopd("bogus").returncode == 2


def test_only_a_saved_transaction_is_sent_again(tmp_path: Path) -> None:
    nothing = coop(tmp_path, "tx", "resend")
    assert nothing.returncode == Exit.USAGE and "cli.no_receipt" in nothing.stderr
    (tmp_path / "other.json").write_text("{}")
    other = coop(tmp_path, "tx", "resend", str(tmp_path / "other.json"))
    assert other.returncode == Exit.REFUSED and "not a receipt file" in other.stderr
