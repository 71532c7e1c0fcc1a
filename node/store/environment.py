"""One LMDB environment, opened the only way that survives power cuts; the only file that knows lmdb.

Every transaction is synchronous (data and meta page), never through a writable map: the measured table of
reliability.md 2.3 leaves no other mode. What lmdb may raise becomes one of two families: what an owner can
cure while the node goes on reading (`OperationError`: disk low), and `StorageBroken`, after which the process
must end, because an environment that met an I/O error can no longer be trusted; a restart opens it afresh.

Rules for threads:
    1. `write` may run in any thread; one runs at a time, a second waits. It takes milliseconds (fsync), so it
       belongs into a worker thread, never into the loop.
    2. A read transaction is used by one thread at a time, ends in the block that began it, and sees one
       moment: it neither waits for the writer nor stops it. Old readers keep old pages alive, so the maximum
       age of a reader is its owner's affair.
    3. The map may only move while no reader of this process is active: growth waits for readers to end, and
       new ones are let in meanwhile, so that a thread with a reader may begin another.

It does not know what the tables hold: see `tables.py`.
"""

import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import lmdb

from node.errors import OperationError
from node.files import sync
from node.store.tables import META, Schema

MAP_BYTES_START: Final = 1 << 34
"""Address space reserved at first: 16 GiB. It costs neither disk nor memory."""

MAP_BYTES_MAX: Final = 1 << 38
"""Cap of growth: 256 GiB, what a small 64-bit machine can address."""

DISK_FREE_BYTES_MIN: Final = 256 << 20
"""Below this much free disk every write is refused, while reads and an orderly stop still work."""

READERS_MAX: Final = 256
READERS_WAIT_SECONDS: Final = 30
"""Longest wait for readers of this process to end before the map may move."""

_SCHEMA_KEY: Final = b"schema"
_T = TypeVar("_T")
_V = TypeVar("_V", bytes, memoryview)
_View = TypeVar("_View", bound="Txn | Peek")


class StorageBroken(OperationError):
    """The storage can no longer be trusted by this process: record it and end the process."""


def free_disk_bytes(path: Path) -> int:
    """Return the free bytes of the disk that holds a path."""
    return shutil.disk_usage(path).free


class Txn:
    """Read (and, when it came from `write`, change) the tables at one moment; of no use after that."""

    __slots__ = ("_handles", "_raw")

    def __init__(self, raw: "lmdb.Transaction[bytes]", handles: "dict[str, lmdb._Database]") -> None:
        self._raw = raw
        self._handles = handles

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return the value of a key."""
        return self._raw.get(key, None, self._handles[table])

    def getter(self, table: str) -> Callable[[bytes], bytes | None]:
        """Return `get` of one table, for loops over many keys."""
        handle = self._handles[table]
        return lambda key: self._raw.get(key, None, handle)

    def release(self) -> None:
        """Let go of the transaction, which keeps a reader's slot as long as anything refers to it.

        An error that was raised while reading refers to all that was in reach, and may live long.
        """
        del self._raw

    def count(self, table: str) -> int:
        """Return the number of rows."""
        return self._raw.stat(self._handles[table])["entries"]

    def ascend(self, table: str, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Walk the rows from the first key >= start."""
        with self._raw.cursor(self._handles[table]) as cursor:
            if cursor.set_range(start) if start else cursor.first():
                yield from cursor.iternext(keys=True, values=True)

    def ascend_keys(self, table: str) -> Iterator[bytes]:
        """Walk the keys from the first up, without touching their values."""
        with self._raw.cursor(self._handles[table]) as cursor:
            if cursor.first():
                yield from cursor.iternext(keys=True, values=False)

    def descend(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """Walk the rows from the last key down."""
        with self._raw.cursor(self._handles[table]) as cursor:
            if cursor.last():
                yield from cursor.iterprev(keys=True, values=True)

    def descend_below(self, table: str, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Walk the rows from the last key < end down."""
        with self._raw.cursor(self._handles[table]) as cursor:
            if cursor.prev() if cursor.set_range(end) else cursor.last():
                yield from cursor.iterprev(keys=True, values=True)

    def descend_keys(self, table: str) -> Iterator[bytes]:
        """Walk the keys from the last down, without touching their values."""
        with self._raw.cursor(self._handles[table]) as cursor:
            if cursor.last():
                yield from cursor.iterprev(keys=True, values=False)

    def put(self, table: str, key: bytes, value: bytes) -> None:
        """Write a row over whatever was there."""
        self._raw.put(key, value, db=self._handles[table])

    def append(self, table: str, key: bytes, value: bytes) -> None:
        """Write a row behind all others of its table; half the cost of `put`.

        Raises:
            AssertionError: the key is not above all others.
        """
        appended = self._raw.put(key, value, append=True, db=self._handles[table])
        assert appended, f"{table}: append out of order"

    def put_many(self, table: str, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Write rows; ascending keys make neighbours share their pages."""
        with self._raw.cursor(self._handles[table]) as cursor:
            cursor.putmulti(rows)

    def clear(self, table: str) -> None:
        """Delete all rows of a table."""
        self._raw.drop(self._handles[table], delete=False)

    def delete(self, table: str, key: bytes) -> bool:
        """Delete a row; tell whether there was one."""
        return self._raw.delete(key, db=self._handles[table])


class Peek:
    """Read large rows in place, from the last key down; nothing it yields may outlive its step."""

    __slots__ = ("_handles", "_raw")

    def __init__(self, raw: "lmdb.Transaction[memoryview]", handles: "dict[str, lmdb._Database]") -> None:
        self._raw = raw
        self._handles = handles

    def release(self) -> None:
        """Let go of the transaction, as `Txn.release`."""
        del self._raw

    def descend(self, table: str) -> Iterator[tuple[memoryview, memoryview]]:
        """Walk the rows from the last key down."""
        with self._raw.cursor(self._handles[table]) as cursor:
            if cursor.last():
                yield from cursor.iterprev(keys=True, values=True)

    def get(self, table: str, key: bytes) -> memoryview | None:
        """Return the value of a key, in place."""
        return self._raw.get(key, None, self._handles[table])


class Environment:
    """Own one data folder: made by `create`, used through `read` and `write`."""

    __slots__ = ("_disk_free", "_gate", "_handles", "_lmdb", "_lock", "_path", "_readers", "_writing")

    def __init__(
        self,
        path: Path,
        raw: lmdb.Environment,
        handles: "dict[str, lmdb._Database]",
        lock: "int | None",
        disk_free: Callable[[Path], int],
    ) -> None:
        self._path = path
        self._lmdb = raw
        self._handles = handles
        self._lock = lock
        self._disk_free = disk_free
        self._gate = threading.Condition()
        self._readers = 0
        self._writing = threading.Lock()

    @classmethod
    def create(cls, path: Path, schema: Schema, fill: Callable[[Txn], None]) -> None:
        """Make a data folder whole or not at all: fill it beside its place, sync it, rename it.

        A power cut while LMDB first writes its file leaves a file that cannot be opened; this way such a file
        is never in its place. A left-over of an interrupted creation is replaced.

        Raises:
            OperationError: `store.exists`, `store.locked`, `store.disk_low`.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _take_lock(path)
        try:
            if path.exists():
                raise OperationError(
                    "store.exists",
                    f"There is a database in {path} already.",
                    "creating a new one would overwrite the chain.",
                    "use the one that is there, or choose another folder.",
                )
            draft = path.with_name(path.name + ".draft")
            shutil.rmtree(draft, ignore_errors=True)
            raw = _open_lmdb(draft, MAP_BYTES_START, readonly=False)
            try:
                with _translated(path):
                    handles = {name: raw.open_db(name.encode()) for name in schema.tables}
                    with raw.begin(write=True) as txn:
                        txn.put(_SCHEMA_KEY, schema.version.to_bytes(4, "big"), db=handles[META])
                        fill(Txn(txn, handles))
            finally:
                raw.close()
            (draft / "lock.mdb").unlink()
            sync(draft / "data.mdb")
            sync(draft)
            draft.rename(path)
            sync(path.parent)
        finally:
            os.close(lock)

    @classmethod
    def remove(cls, path: Path) -> None:
        """Remove a data folder, readable or not, that no process has open; nothing happens without one.

        Raises:
            OperationError: `store.locked`.
        """
        if not path.exists():
            return
        lock = _take_lock(path)
        try:
            doomed = path.with_name(path.name + ".draft")
            shutil.rmtree(doomed, ignore_errors=True)
            path.rename(doomed)
            sync(path.parent)
            shutil.rmtree(doomed)
        finally:
            os.close(lock)

    @classmethod
    def open(
        cls,
        path: Path,
        schema: Schema,
        *,
        readonly: bool = False,
        map_bytes: int = MAP_BYTES_START,
        disk_free: Callable[[Path], int] = free_disk_bytes,
    ) -> "Environment":
        """Open a data folder; at most one process may open it for writing.

        Args:
            readonly: for another process beside the writer; sees each block as soon as it is committed.
            map_bytes: address space to begin with; a map that is larger already stays.

        Raises:
            OperationError: `store.missing`, `store.locked`, `store.newer`, `store.older`.
            StorageBroken: the file cannot be read as a database.
        """
        if not (path / "data.mdb").is_file():
            raise OperationError(
                "store.missing",
                f"There is no database in {path}.",
                "this node was not set up, or its data folder is another one.",
                "set the node up first, or name its data folder.",
            )
        lock = None if readonly else _take_lock(path)
        try:
            raw = _open_lmdb(path, map_bytes, readonly=readonly)
            try:
                with _translated(path):
                    _check_schema(raw, schema, path)
                    handles = {name: raw.open_db(name.encode(), create=False) for name in schema.tables}
                    raw.reader_check()
            except BaseException:
                raw.close()
                raise
        except BaseException:
            if lock is not None:
                os.close(lock)
            raise
        return cls(path, raw, handles, lock, disk_free)

    def close(self) -> None:
        """Close the environment and give the lock back; all transactions must have ended."""
        assert self._readers == 0, "closed under a reader"
        self._lmdb.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self) -> AbstractContextManager[Txn]:
        """Begin a read transaction at the newest commit. Cost: about 4 us."""
        return self._reading(Txn, lambda: self._lmdb.begin())

    def peek(self) -> AbstractContextManager[Peek]:
        """Begin a read transaction whose values are not copied."""
        return self._reading(Peek, lambda: self._lmdb.begin(buffers=True))

    @contextmanager
    def _reading(
        self,
        make: "Callable[[lmdb.Transaction[_V], dict[str, lmdb._Database]], _View]",
        begin: "Callable[[], lmdb.Transaction[_V]]",
    ) -> Iterator[_View]:
        with self._gate:
            raw = self._begin(begin)
            self._readers += 1
        view = make(raw, self._handles)
        try:
            with _translated(self._path):
                yield view
        finally:
            self._end(raw)
            view.release()
            del raw

    def write(self, work: Callable[[Txn], _T]) -> _T:
        """Run one write transaction; durable when it returns.

        Args:
            work: may run again from the start when the map had to grow; an exception undoes everything.

        Raises:
            OperationError: `store.disk_low`, before anything was written.
            StorageBroken: nothing is certain but the last commit; end the process.
        """
        assert self._lock is not None, "opened for reading"
        with self._writing:
            self._check_disk()
            while True:
                try:
                    with _translated(self._path), self._lmdb.begin(write=True) as raw:
                        return work(Txn(raw, self._handles))
                except lmdb.MapFullError:
                    self._grow()

    def used_bytes(self) -> int:
        """Return the size of the database in bytes, free pages included."""
        info = self._lmdb.info()
        return (info["last_pgno"] + 1) * self._lmdb.stat()["psize"]

    def map_bytes(self) -> int:
        """Return the address space reserved at present."""
        return self._lmdb.info()["map_size"]

    def release_dead_readers(self) -> int:
        """Free the slots of readers whose process died, which keep old pages alive; return their number."""
        with _translated(self._path):
            return self._lmdb.reader_check()

    def _begin(self, begin: "Callable[[], lmdb.Transaction[_V]]") -> "lmdb.Transaction[_V]":
        with _translated(self._path):
            try:
                return begin()
            except lmdb.MapResizedError:
                # Another process let the map grow; 0 takes over its size.
                self._move_map(0)
                return begin()

    def _end(self, raw: "lmdb.Transaction[bytes] | lmdb.Transaction[memoryview]") -> None:
        raw.abort()
        with self._gate:
            self._readers -= 1
            if self._readers == 0:
                self._gate.notify_all()

    def _grow(self) -> None:
        size = self.map_bytes() * 2
        if size > MAP_BYTES_MAX:
            raise StorageBroken(
                "store.map_full",
                f"The database in {self._path} has reached {MAP_BYTES_MAX >> 30} GiB.",
                "that is the largest map this version reserves.",
                "move the node to a new database, or run a version with a larger map.",
            )
        with self._gate, _translated(self._path):
            self._move_map(size)

    def _move_map(self, size: int) -> None:
        if not self._gate.wait_for(lambda: self._readers == 0, READERS_WAIT_SECONDS):
            raise StorageBroken(
                "store.reader_stuck",
                "The database cannot grow.",
                f"a reader of this process has been at work for {READERS_WAIT_SECONDS} s.",
                "start the node again and report this.",
            )
        self._lmdb.set_mapsize(size)

    def _check_disk(self) -> None:
        free = self._disk_free(self._path)
        if free < DISK_FREE_BYTES_MIN:
            raise _disk_low(self._path, free)


def _open_lmdb(path: Path, map_bytes: int, *, readonly: bool) -> lmdb.Environment:
    with _translated(path):
        return lmdb.Environment(
            str(path),
            map_size=map_bytes,
            readonly=readonly,
            create=not readonly,
            mode=0o600,
            sync=True,
            metasync=True,
            writemap=False,
            readahead=False,
            max_readers=READERS_MAX,
            max_dbs=32,
            max_spare_txns=8,
        )


def _check_schema(raw: lmdb.Environment, schema: Schema, path: Path) -> None:
    try:
        handle = raw.open_db(META.encode(), create=False)
        with raw.begin() as txn:
            row = txn.get(_SCHEMA_KEY, db=handle)
    except lmdb.NotFoundError:
        row = None
    if row is None:
        raise StorageBroken(
            "store.foreign",
            f"{path} is not a database of this program.",
            "it does not say which version wrote it.",
            "name the right data folder.",
        )
    found = int.from_bytes(row, "big")
    if found > schema.version:
        raise OperationError(
            "store.newer",
            f"The database in {path} was written by a newer version of this program.",
            f"it has schema {found}, this version knows schemas up to {schema.version}.",
            "run the newer version again, or start from a backup of the older one.",
        )
    if found < schema.version:
        raise OperationError(
            "store.older",
            f"The database in {path} was written by an older version of this program.",
            f"it has schema {found}, this version needs {schema.version} and has no way to convert it.",
            "let the node fetch the chain again into a new data folder.",
        )


def _take_lock(path: Path) -> int:
    """Take the lock beside a data folder; it falls back when the process ends, however it ends."""
    handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise OperationError(
            "store.locked",
            f"Another process works on the database in {path}.",
            "two writers would destroy it.",
            "stop the other node, or give this one a data folder of its own.",
        ) from None
    return handle


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn what lmdb raises into what the node knows; `MapFullError` passes, `write` needs it."""
    try:
        yield
    except lmdb.MapFullError:
        raise
    except lmdb.Error as failure:
        _refuse(failure, path)


def _refuse(failure: lmdb.Error, path: Path) -> NoReturn:
    if failure.code == errno.ENOSPC or isinstance(failure, lmdb.DiskError):
        raise _disk_low(path, free_disk_bytes(path)) from failure
    if isinstance(failure, lmdb.ReadersFullError):
        raise OperationError(
            "store.readers_full",
            "The database has no place for another reader.",
            f"{READERS_MAX} readers are at work.",
            "try again; if it stays, start the node again.",
        ) from failure
    raise StorageBroken(
        "store.broken",
        f"The database in {path} failed.",
        f"{type(failure).__name__}: {failure}.",
        "check the disk, then start the node again; it checks the database first.",
    ) from failure


def _disk_low(path: Path, free_bytes: int) -> OperationError:
    return OperationError(
        "store.disk_low",
        "The node stopped writing: the disk is almost full.",
        f"{free_bytes >> 20} MiB are free for {path}, {DISK_FREE_BYTES_MIN >> 20} MiB are needed.",
        "free some space; the node goes on by itself.",
    )
