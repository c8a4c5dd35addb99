"""A line between a site and the coordinator that a test can slow down, hold, cut, leave half open and reorder."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

CHUNK = 65536


class Line:
    """A TCP proxy on this machine to ``target`` (HOST:PORT), which may not be there."""

    def __init__(self, target: str, *, delay: float = 0.0, budgets: Iterator[int] | None = None) -> None:
        """Every piece of data is held back for ``delay`` seconds; each connection is cut after a budget of bytes."""
        host, _, port = target.rpartition(":")
        self.target = (host, int(port))
        self.delay = delay
        self._budgets = budgets or itertools.repeat(1 << 62)
        self.gate = threading.Event()
        self.gate.set()
        self.is_deaf = False
        self.cuts = 0
        self._connections: list[_Connection] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self) -> None:
        """Let nothing through, without closing anything: what arrives is passed on later."""
        self.gate.clear()

    def release(self) -> None:
        """Let everything through again."""
        self.gate.set()

    def swallow(self, *, on: bool) -> None:
        """Half open: read and throw away, so that neither end notices."""
        self.is_deaf = on

    def cut(self) -> None:
        """Break every connection; new ones are taken."""
        for connection in self._taken():
            connection.close()

    def overtake(self) -> list[_Connection]:
        """While the line is held: the site loses its connections, and what it had sent on them is still under way.

        The line is open for new connections. ``arrive`` of an old one lets what is under way arrive.
        """
        old = self._taken()
        for connection in old:
            connection.strand()
        self.release()
        return old

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self.release()
        self.cut()

    def _taken(self) -> list[_Connection]:
        with self._lock:
            taken, self._connections = self._connections, []
        return taken

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.target, 5.0)
            except OSError:
                near.close()  # taken, though the coordinator is down
                continue
            far.settimeout(None)
            with self._lock:
                self._connections.append(_Connection(self, near, far, next(self._budgets)))


class _Connection:
    """Passes on what comes from ``near``, the site, to ``far``, the coordinator, and back."""

    def __init__(self, line: Line, near: socket.socket, far: socket.socket, budget: int) -> None:
        self._line, self._near, self._far, self._budget = line, near, far, budget
        self._stranded = False
        self._arrival = threading.Event()
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def close(self) -> None:
        self._arrival.set()
        self._end(self._near, self._far)
        self._near.close()
        self._far.close()

    def strand(self) -> None:
        """The site sees the connection end; the coordinator does not, until ``arrive``."""
        self._stranded = True
        self._end(self._near)

    def arrive(self) -> None:
        """What the site had sent arrives; what is answered does not."""
        self._arrival.set()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                time.sleep(self._line.delay)
                self._line.gate.wait()
                if self._stranded and source is self._far:
                    continue  # nobody is left to hear it
                if self._stranded:
                    self._arrival.wait()
                self._budget -= len(data)
                if self._budget < 0:
                    self._line.cuts += 1
                    sink.sendall(data[: self._budget])
                    break
                if not self._line.is_deaf:
                    sink.sendall(data)
        if self._stranded and source is self._near:
            return  # the coordinator would drop what has just arrived along with its connection: it ends it itself
        self._end(source, sink)

    @staticmethod
    def _end(*sockets: socket.socket) -> None:
        for end in sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
