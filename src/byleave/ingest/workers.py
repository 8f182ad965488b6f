"""Processes that mask and encode, beside the one that reads and writes.

Rules of this file:

1. What a worker does is a pure function (`encode.Encoder`), so the store holds the same bytes with any number of
   workers; with none it is done here.
2. A worker is a fresh interpreter at the end of two pipes: nothing is inherited, no thread is forked, and a script
   that imports this package needs no guard. It ends when its pipe does, however this process ends.
3. A worker that dies or fails ends the import, which then leaves nothing behind.
4. Answers come as futures, to be taken in the order of the questions. Whoever asks keeps few questions open: what
   is on its way is all the memory that this takes.

A worker hears nobody but the process that started it, in frames of its making: pickle reads nothing foreign here.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import msgspec

from byleave.errors import Code, Unavailable
from byleave.ingest.encode import Encoded, Encoder, Task
from byleave.words.language import Verdict, Voice
from byleave.words.mask import Titles, mask
from byleave.words.people import People

MOST = 4
"""Workers by default, at most: reading and writing are one process's work and set the pace from there on."""
VOICES = 200
"""Voices judged at a time."""
_LENGTH = 8
_BEGIN = "import sys; sys.path.insert(0, sys.argv[1]); from byleave.ingest.workers import main; main()"
_FINE, _FAILED = b"+", b"-"


def usual() -> int:
    """Workers on this machine: every core but the one that reads and writes."""
    return max(0, min(MOST, len(os.sched_getaffinity(0)) - 1 if hasattr(os, "sched_getaffinity") else 1))


class Workers:
    """`count` workers, started at `start`; until then, and with none, what is asked for is done here.

    Raises Unavailable, out of an answer, where a worker has ended."""

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self._all: list[_Worker] = []
        self._free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._threads: ThreadPoolExecutor | None = None
        self._encoder: Encoder | None = None
        self._book = b""

    def start(self) -> None:
        """Starts them, once; they make themselves ready while others work."""
        if self.count and not self._all:
            self._all = [_Worker() for _ in range(self.count)]
            self._threads = ThreadPoolExecutor(self.count, thread_name_prefix="worker")
            for worker in self._all:
                self._free.put(worker)

    @property
    def processes(self) -> list[int]:
        """Their process ids."""
        return [worker.process.pid for worker in self._all]

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for worker in self._all:
            worker.end()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        for worker in self._all:
            worker.close()
        self._all, self._threads = [], None

    def learn(self, encoder: Encoder) -> None:
        """By what `encoded` encodes from now on."""
        self._encoder = encoder
        self._book = pickle.dumps(encoder) if self._all else b""

    def judged(self, voices: dict[Any, Voice]) -> Iterator[tuple[Any, Verdict]]:
        """The verdict on each of `voices`, which are taken out of it."""
        waiting: list[tuple[list[Any], Future[list[Verdict]]]] = []
        while voices or waiting:
            if voices and len(waiting) <= 2 * len(self._all):
                some = [voices.popitem() for _ in range(min(VOICES, len(voices)))]
                waiting.append(([who for who, _ in some], self._judge([voice for _, voice in some])))
            else:
                who, answer = waiting.pop(0)
                yield from zip(who, answer.result(), strict=True)

    def _judge(self, voices: list[Voice]) -> Future[list[Verdict]]:
        if self._threads is None:
            return _done([voice.judge() for voice in voices])
        payload = pickle.dumps(voices)
        return self._threads.submit(lambda: _verdicts(self._ask(b"J", payload)))

    def encoded(self, tasks: list[Task]) -> Future[list[Encoded]]:
        """What `tasks` became."""
        assert self._encoder is not None
        if self._threads is None:
            return _done([self._encoder.encode(task) for task in tasks])
        payload = _pack(tasks)
        return self._threads.submit(lambda: _encoded(self._ask(b"E", payload)))

    def _ask(self, kind: bytes, payload: bytes) -> bytes:
        worker = self._free.get()
        try:
            if kind == b"E" and worker.book is not self._book:
                worker.ask(b"B", self._book)
                worker.book = self._book
            return worker.ask(kind, payload)
        finally:
            self._free.put(worker)


_pack = msgspec.msgpack.Encoder().encode
_tasks = msgspec.msgpack.Decoder(list[Task]).decode
_encoded = msgspec.msgpack.Decoder(list[Encoded]).decode
_verdicts = msgspec.msgpack.Decoder(list[Verdict]).decode


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


class _Worker:
    """One worker, seen from here."""

    def __init__(self) -> None:
        self.book = b""
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BEGIN, str(Path(__file__).parents[2])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self._to, self._from = self.process.stdin, self.process.stdout

    def ask(self, kind: bytes, payload: bytes) -> bytes:
        try:
            _send(self._to, kind, payload)
            answer = _receive(self._from)
        except (OSError, ValueError):
            answer = None
        if answer is None or answer[:1] != _FINE:
            raise Unavailable(
                Code.UNAVAILABLE, "a worker of the import has ended; import again, or with --workers 0"
            )
        return answer[1:]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        for pipe in (self._to, self._from):
            with suppress(OSError):  # what was still to be sent has nobody to hear it
                pipe.close()


def _send(to: BinaryIO | Any, kind: bytes, payload: bytes) -> None:
    to.write((len(payload) + 1).to_bytes(_LENGTH, "big") + kind)
    to.write(payload)
    to.flush()


def _receive(source: BinaryIO | Any) -> bytes | None:
    """One frame, or None where the other end is gone."""
    head = source.read(_LENGTH)
    if len(head) < _LENGTH:
        return None
    size = int.from_bytes(head, "big")
    frame: bytes = source.read(size)
    return frame if len(frame) == size else None


# ── the worker itself ───────────────────────────────────────────────────────────────────────────────────────
def work(source: BinaryIO, to: BinaryIO) -> None:
    """Answers until nobody asks any more."""
    encoder: Encoder | None = None
    _warm()
    while (frame := _receive(source)) is not None:
        kind, payload = frame[:1], frame[1:]
        del frame
        try:
            if kind == b"B":
                encoder, answer = pickle.loads(payload), b""
            elif kind == b"J":
                answer = _pack([voice.judge() for voice in pickle.loads(payload)])
            else:
                assert encoder is not None
                answer = _pack([encoder.encode(task) for task in _tasks(payload)])
        except Exception:  # told to whoever asked; what it was about is not put into words
            _send(to, _FAILED, b"")
            continue
        _send(to, _FINE, answer)
        del payload, answer


def _warm() -> None:
    """Loads the lists and the model that the first question would wait for."""
    voice = Voice()
    voice.add("Some words that are long enough to be judged by their language.")
    voice.judge()
    mask("Warm Words", People(()), Titles())


def main() -> None:
    """A worker's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the importing process's business
    try:
        work(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        os._exit(0)
