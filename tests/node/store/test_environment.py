"""One environment: made whole or not at all, one writer, growth, a full disk, versions, other processes."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from node.errors import OperationError
from node.store import environment as module
from node.store.environment import DISK_FREE_BYTES_MIN, READERS_MAX, Environment, StorageBroken, Txn
from node.store.tables import META, SCHEMA, STATE, Schema


def create(path: Path) -> None:
    Environment.create(path, SCHEMA, lambda txn: txn.put(META, b"made", b"yes"))


def opened(path: Path, **options: object) -> Environment:
    return Environment.open(path, SCHEMA, **options)  # type: ignore[arg-type]


def fill(env: Environment, count: int, size_bytes: int = 2_000) -> None:
    rows = [(n.to_bytes(8, "big"), bytes(size_bytes)) for n in range(count)]
    env.write(lambda txn: txn.put_many(STATE, rows))


def test_creation_is_there_after_opening(tmp_path: Path) -> None:
    create(tmp_path / "chain")
    env = opened(tmp_path / "chain")
    with env.read() as txn:
        assert txn.get(META, b"made") == b"yes"
    env.close()
    assert {p.name for p in tmp_path.iterdir()} == {"chain", "chain.lock"}


def test_creation_refuses_to_overwrite(tmp_path: Path) -> None:
    create(tmp_path / "chain")
    with pytest.raises(OperationError) as caught:
        create(tmp_path / "chain")
    assert caught.value.slug == "store.exists"


def test_interrupted_creation_leaves_nothing_in_place(tmp_path: Path) -> None:
    def die(txn: Txn) -> None:
        txn.put(META, b"half", b"done")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Environment.create(tmp_path / "chain", SCHEMA, die)
    with pytest.raises(OperationError) as caught:
        opened(tmp_path / "chain")
    assert caught.value.slug == "store.missing"
    create(tmp_path / "chain")
    env = opened(tmp_path / "chain")
    with env.read() as txn:
        assert txn.get(META, b"half") is None
    env.close()


def test_killed_creation_leaves_nothing_in_place(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from node.store.environment import Environment; from node.store.tables import SCHEMA\n"
        "Environment.create(Path(sys.argv[1]), SCHEMA, lambda txn: os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "chain")], check=False)
    assert done.returncode == -9
    assert not (tmp_path / "chain").exists()
    create(tmp_path / "chain")
    opened(tmp_path / "chain").close()


def test_two_writers_are_refused(tmp_path: Path) -> None:
    create(tmp_path / "chain")
    env = opened(tmp_path / "chain")
    with pytest.raises(OperationError) as caught:
        opened(tmp_path / "chain")
    assert caught.value.slug == "store.locked"
    env.close()
    opened(tmp_path / "chain").close()


def test_a_second_process_may_not_write(tmp_path: Path) -> None:
    create(tmp_path / "chain")
    env = opened(tmp_path / "chain")
    script = (
        "import sys; from pathlib import Path\n"
        "from node.store.environment import Environment; from node.store.tables import SCHEMA\n"
        "Environment.open(Path(sys.argv[1]), SCHEMA)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "chain")], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1 and "Another process works" in done.stderr
    env.close()


def test_an_exception_undoes_the_whole_transaction(tmp_path: Path) -> None:
    create(tmp_path / "chain")
    env = opened(tmp_path / "chain")

    def fail(txn: Txn) -> None:
        txn.put(META, b"made", b"no")
        raise ValueError

    with pytest.raises(ValueError):
        env.write(fail)
    with env.read() as txn:
        assert txn.get(META, b"made") == b"yes"
    env.close()


def test_the_map_grows_and_the_transaction_runs_again(tmp_path: Path) -> None:
    create(tmp_path / "chain")
    env = opened(tmp_path / "chain", map_bytes=1 << 18)
    runs = []

    def work(txn: Txn) -> None:
        runs.append(1)
        txn.put_many(STATE, [(n.to_bytes(8, "big"), bytes(2_000)) for n in range(1_000)])

    before = env.map_bytes()
    env.write(work)
    assert env.map_bytes() == before << (len(runs) - 1) and len(runs) > 1
    with env.read() as txn:
        assert txn.count(STATE) == 1_000
    env.close()


def test_what_outlives_a_reader_keeps_no_slot_of_it(tmp_path: Path) -> None:
    create(tmp_path / "chain")
    env = opened(tmp_path / "chain")
    kept: list[object] = []
    for _ in range(READERS_MAX + 10):
        try:
            with env.read() as txn, env.peek() as peek:
                kept += [txn, txn.getter(STATE), peek]
                raise ValueError
        except ValueError as failure:
            kept.append(failure)
    with pytest.raises(AttributeError):
        txn.get(STATE, b"key")
    env.close()


def test_growth_waits_for_readers_and_lets_new_ones_in(tmp_path: Path) -> None:
    create(tmp_path / "chain")
    env = opened(tmp_path / "chain", map_bytes=1 << 18)
    with env.read() as old:
        worker = threading.Thread(target=fill, args=(env, 1_000))
        worker.start()
        worker.join(0.3)
        assert worker.is_alive()
        with env.read() as young:
            assert young.count(STATE) == old.count(STATE) == 0
    worker.join()
    with env.read() as txn:
        assert txn.count(STATE) == 1_000
    env.close()


def test_growth_ends_at_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create(tmp_path / "chain")
    env = opened(tmp_path / "chain", map_bytes=1 << 20)
    monkeypatch.setattr(module, "MAP_BYTES_MAX", 1 << 21)
    fill(env, 100)
    with pytest.raises(StorageBroken) as caught:
        fill(env, 1_000)
    assert caught.value.slug == "store.map_full"
    with env.read() as txn:
        assert txn.count(STATE) == 100
    env.close()


def test_a_low_disk_refuses_before_it_writes(tmp_path: Path) -> None:
    create(tmp_path / "chain")
    free = [DISK_FREE_BYTES_MIN]
    env = opened(tmp_path / "chain", disk_free=lambda path: free[0])
    fill(env, 1)
    free[0] = DISK_FREE_BYTES_MIN - 1
    with pytest.raises(OperationError) as caught:
        fill(env, 2)
    assert caught.value.slug == "store.disk_low" and not isinstance(caught.value, StorageBroken)
    with env.read() as txn:
        assert txn.count(STATE) == 1
    free[0] = DISK_FREE_BYTES_MIN
    fill(env, 2)
    env.close()


@pytest.mark.parametrize(("written", "known", "slug"), [(2, 1, "store.newer"), (1, 2, "store.older")])
def test_another_schema_is_refused(tmp_path: Path, written: int, known: int, slug: str) -> None:
    Environment.create(tmp_path / "chain", Schema(written, SCHEMA.tables), lambda txn: None)
    with pytest.raises(OperationError) as caught:
        Environment.open(tmp_path / "chain", Schema(known, SCHEMA.tables))
    assert caught.value.slug == slug
    # The lock is free again.
    Environment.open(tmp_path / "chain", Schema(written, SCHEMA.tables)).close()


def test_a_file_that_is_no_database_is_broken(tmp_path: Path) -> None:
    (tmp_path / "chain").mkdir()
    (tmp_path / "chain" / "data.mdb").write_bytes(b"nothing of the sort" * 1_000)
    with pytest.raises(StorageBroken):
        opened(tmp_path / "chain")


def test_append_out_of_order_is_our_bug(tmp_path: Path) -> None:
    create(tmp_path / "chain")
    env = opened(tmp_path / "chain")
    env.write(lambda txn: txn.append(STATE, b"b", b""))
    with pytest.raises(AssertionError):
        env.write(lambda txn: txn.append(STATE, b"a", b""))
    env.close()


READER = """
import sys
from pathlib import Path
from node.store.environment import Environment
from node.store.tables import SCHEMA, STATE
env = Environment.open(Path(sys.argv[1]), SCHEMA, readonly=True, map_bytes=1 << 18)
for line in sys.stdin:
    with env.read() as txn:
        print(txn.count(STATE), env.map_bytes(), flush=True)
"""


def test_a_reader_in_another_process_follows_growth(tmp_path: Path) -> None:
    create(tmp_path / "chain")
    env = opened(tmp_path / "chain", map_bytes=1 << 18)
    command = [sys.executable, "-c", READER, str(tmp_path / "chain")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdin is not None and reader.stdout is not None

        def ask() -> tuple[int, int]:
            reader.stdin.write("?\n")  # type: ignore[union-attr]
            reader.stdin.flush()  # type: ignore[union-attr]
            rows, map_bytes = reader.stdout.readline().split()  # type: ignore[union-attr]
            return int(rows), int(map_bytes)

        rows, before = ask()
        assert rows == 0
        fill(env, 10)
        assert ask()[0] == 10
        fill(env, 5_000)
        rows, after = ask()
        assert rows == 5_000 and after > before
        reader.stdin.close()
    env.close()
