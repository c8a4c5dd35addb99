"""One fit as it is served: store, server, session and signals, from the start to the result."""

from __future__ import annotations

import asyncio
import importlib
import secrets
import signal
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from fedglmm_coordinator.log import Log
from fedglmm_coordinator.server import Exchange, start_server
from fedglmm_coordinator.session import Session
from fedglmm_coordinator.store import Store
from fedglmm_coordinator.transcript import Transcript
from fedglmm_secure import shell
from fedglmm_secure.estimate import FitResult
from fedglmm_secure.estimate.estimator import estimator
from fedglmm_secure.exchange import Conductor, Fit
from fedglmm_secure.study import Study
from fedglmm_secure.wire.identity import Identity
from fedglmm_secure.wire.messages import Finished, Stopped

T = TypeVar("T")


def serve_fit(
    study: Study,
    identity: Identity,
    store: Path,
    out: Path,
    say: shell.Say,
    *,
    listen: str,
    timeout: float,
    patience: float,
    linger: float,
) -> bool:
    """Serve the fit that ``store`` holds, or will hold, as ``Service.run`` does."""
    with Store(store, study) as held:
        service = Service(study, identity, held, out, say)
        return asyncio.run(service.run(listen, timeout, patience, linger))


class Service:
    """Serves one study's fit, begun or gone on with."""

    def __init__(self, study: Study, identity: Identity, store: Store, out: Path, say: shell.Say) -> None:
        """Nothing is opened yet; results go to ``out``."""
        self._study, self._identity, self._store, self._out = study, identity, store, out
        self._log = Log(out / "log.jsonl", lambda: datetime.now(UTC), say)
        self._say = say = self._log.say
        self._began = time.monotonic()
        self._conductor = Conductor(
            study, self._fit, randomness=secrets.token_bytes, keep=self._keep, ledger=store, say=say
        )
        self._session = Session(self._conductor, [site.name for site in study.sites], say=say)
        store.sent = self._session.bytes_sent

    async def run(self, listen: str, timeout: float, patience: float, linger: float) -> bool:
        """Serve until the end; whether it was interrupted before. Raises the error that ended the fit."""
        for sentence in self._study.warnings():
            self._say(f"warning: {sentence}")
        importlib.import_module("scipy.optimize")  # while there are files to open: strangers' connections may take them
        operator = _Operator()
        self._resume()
        with Transcript(self._out / "transcript.jsonl", time.time) as transcript, self._log:
            exchange = Exchange(self._study, self._session, transcript, self._log)
            server, address = await start_server(exchange, self._study, self._identity, listen)
            try:
                print(f"listening on {address}", flush=True)
                end = await operator.unless_stopped(self._session.run(timeout, patience))
                if end is None:
                    self._session.leave()
                else:
                    await operator.unless_stopped(self._session.wait_until_told(linger))
            finally:
                await server.stop(grace=1.0)
        if isinstance(end, Stopped):
            raise end.error
        if isinstance(end, Finished):
            self._show(end.result_json)
        return end is None

    def _show(self, result_json: str) -> None:
        """Print the result, and write its page for people."""
        from fedglmm_secure.report import read_result, result_page  # noqa: PLC0415  loads matplotlib

        result = read_result(result_json, str(self._out / "result.json"))
        print(result.summary(), flush=True)
        shell.replace_text(self._out / "report.html", result_page(result))

    def _resume(self) -> None:
        """Go on where the store says that an earlier process was."""
        result, standing = self._store.result, self._store.standing()
        if result is not None:
            self._conductor.end = Finished(result)
            self._say(
                f"this fit is done; its result, {self._out / 'result.json'}, is given again to sites that ask for it "
                "(another fit needs another --store)"
            )
            shell.replace_text(self._out / "result.json", result)
        elif standing is not None:
            self._session.count_all(self._store.bytes_sent)
            self._conductor.resume(standing)
            self._say(f"going on after sum {len(standing.sums)}, which is in the store")

    def _fit(self) -> Fit:
        return estimator(self._study, lambda row: self._say(shell.progress_line(row)))

    def _keep(self, result: FitResult) -> str:
        """Write the result where it is looked for, and tell it."""
        protocol, sent = self._study.security.protocol, dict(self._session.bytes_sent)
        secured = result.secured(protocol, sent, time.monotonic() - self._began)
        text = secured.to_json()
        shell.replace_text(self._out / "result.json", text)  # half of one would be in the way of the same command
        self._store.finish(text)
        return text


class _Operator:
    """Listens for Ctrl-C and SIGTERM, from now on."""

    def __init__(self) -> None:
        self._stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stopped.set)

    async def unless_stopped(self, work: Coroutine[object, object, T]) -> T | None:
        """What comes of it, None when the operator ends it."""
        task, stopped = asyncio.create_task(work), asyncio.create_task(self._stopped.wait())
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            return task.result()
        task.cancel()
        return None
