"""All collections of one data directory, which one process owns at a time."""

import fcntl
import os
import re
import shutil
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

from codeforge.errors import StackError
from codeforge.local.qdrant.collection import Collection
from codeforge.local.qdrant.refusal import Refusal, no_collection, wrong_input
from codeforge.local.qdrant.schema import CollectionSpec

LOCK_FILE = ".lock"
NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""Names become directories: Qdrant's rule, less the characters that mean something in a path."""


class Catalog:
    """The collections by name. A context manager: entering takes the directory and loads them, leaving closes them.

    `create`, `delete`, `flush` and the collections' writes must come from one thread; reads may come from any.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._collections: dict[str, Collection] = {}
        self._lock: int | None = None

    def __enter__(self) -> Self:
        self._lock = _lock(self._root)
        try:
            for directory in sorted(self._root.iterdir()):
                if directory.name.startswith((".new-", ".old-")):  # a crash came between two steps
                    shutil.rmtree(directory)
                elif directory.is_dir() and NAME.fullmatch(directory.name):
                    self._collections[directory.name] = Collection.load(directory)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        try:
            while self._collections:
                self._collections.popitem()[1].close()
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def names(self) -> list[str]:
        """The names of all collections, sorted."""
        return sorted(self._collections)

    def get(self, name: str) -> Collection:
        """The collection. Raises Refusal when there is none of that name."""
        collection = self._collections.get(name)
        if collection is None:
            raise no_collection(name)
        return collection

    def create(self, name: str, spec: CollectionSpec) -> None:
        """Makes an empty collection. Raises Refusal when the name is taken or cannot be one."""
        if not NAME.fullmatch(name):
            raise wrong_input(f"collection name `{name}` is not 1 to 255 of A-Z, a-z, 0-9, _ and -")
        if name in self._collections:
            raise Refusal(409, f"Wrong input: Collection `{name}` already exists!")
        self._collections[name] = Collection.create(self._root / name, spec)

    def delete(self, name: str) -> bool:
        """Removes it with all its points; False when there was none."""
        collection = self._collections.pop(name, None)
        if collection is None:
            return False
        collection.close()
        discarded = self._root / f".old-{uuid.uuid4().hex}"
        (self._root / name).rename(discarded)
        shutil.rmtree(discarded)
        return True

    def flush(self) -> None:
        """Moves the writes of every collection from the logs into the segments."""
        for collection in self._collections.values():
            collection.flush()


def _lock(root: Path) -> int:
    """The descriptor that holds the directory; the kernel lets go of it when the process ends in whatever way."""
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(root / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        message = f"the vectors' directory {root} cannot be used: {error.strerror}"
        raise StackError(message, code="data_dir_unusable") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        message = f"the vectors' directory {root} is in use by another process (pid {holder})"
        raise StackError(message, code="data_dir_in_use") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
