"""Put first on PYTHONPATH by test_12: every process under test writes down each address that it speaks to."""

import os
import sys

_LOG = os.environ.get("BYLEAVE_SOCKET_LOG")


def _watch(event: str, arguments: tuple) -> None:  # type: ignore[type-arg]
    if event in (
        "socket.connect",
        "socket.sendto",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.sendmsg",
    ):
        address = (
            arguments[1] if event in ("socket.connect", "socket.sendto", "socket.sendmsg") else arguments[0]
        )
        line = f"{event} {address!r}\n".encode()
        log = os.open(_LOG or os.devnull, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(log, line)
        os.close(log)


if _LOG:
    sys.addaudithook(_watch)
