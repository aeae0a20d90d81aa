"""The directory that holds all state of one local stack: engines' data, logs, generated passwords, and the lock."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from codeforge.errors import StackError

KEPT_LOGS = 3
PASSWORD_BYTES = 24


@dataclass(frozen=True, slots=True)
class DataDir:
    """Paths under `root`. Everything below it is private to the user who runs the stack."""

    root: Path

    @property
    def run(self) -> Path:
        """Files that mean nothing once the stack has stopped: health files, the list of children."""
        return self.root / "run"

    @property
    def children(self) -> Path:
        """The list of running children, for the recovery after a crash."""
        return self.run / "children.json"

    def prepare(self) -> None:
        """Makes the directories. Raises StackError when that is not possible."""
        try:
            for path in (self.root, self.run, self.root / "logs", self.root / "secrets"):
                path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._unusable(error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the directory for this process. Raises StackError with the holder's pid when another has it, and
        when it cannot be written to.

        The kernel drops the lock when the process ends in whatever way, so it needs no recovery.
        """
        try:
            descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
                message = f"the data directory {self.root} is in use by another codeforge up (pid {holder})"
                raise StackError(message, code="data_dir_in_use") from error
            try:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            except OSError as error:
                raise self._unusable(error) from error
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Names the file that cannot be used, one of another user's, say. Raises StackError in place of its OSError."""
        try:
            yield
        except OSError as error:
            if error.filename is None:
                raise
            path = error.filename2 or error.filename
            raise StackError(f"{path} cannot be used: {error.strerror}", code="data_dir_unusable") from error

    def password(self, name: str) -> SecretStr:
        """The generated password called `name`: made at first use and kept in a file that only the user can read."""
        path = self.root / "secrets" / name
        if not path.exists():
            write_private(path, secrets.token_urlsafe(PASSWORD_BYTES))
        return SecretStr(path.read_text(encoding="utf-8").strip())

    def log(self, name: str) -> Path:
        """The log of the child `name`."""
        return self.root / "logs" / f"{name}.log"

    def rotate_log(self, name: str) -> None:
        """Sets the last run's log aside; `KEPT_LOGS` of them are kept as `<name>.log.1` (the newest) and up."""
        log = self.log(name)
        for number in range(KEPT_LOGS, 0, -1):
            source = log.with_name(f"{log.name}.{number - 1}") if number > 1 else log
            if source.exists():
                source.replace(log.with_name(f"{log.name}.{number}"))

    def _unusable(self, error: OSError) -> StackError:
        message = f"the data directory {self.root} cannot be used: {error.strerror}"
        return StackError(message, code="data_dir_unusable")


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, in one step: a reader sees the old text or the new, never a part.
    Raises StackError, for a full disk, say."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise StackError(f"{path} cannot be written: {error.strerror}", code="data_dir_unusable") from error
