"""A small proxy that holds a partner's key and token: a plain JMAP client on this side, DPoP on the other.

It adds `Authorization` and a proof with the server's nonce to each request, and writes itself into the URLs of
the session. With `secure` it speaks TLS on localhost with a certificate of its own (`certificate`), for clients
that know nothing but https.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Ask = Callable[[str, str, bytes, dict[str, str]], httpx.Response]
"""(method, path with query, body, headers) → the gateway's answer."""
PASSED = ("content-type", "accept")


class Proxy:
    def __init__(self, upstream: str, ask: Ask, folder: Path | None = None) -> None:
        self.upstream = upstream
        self.asked: list[str] = []
        proxy, one_at_a_time = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name: self.headers[name] for name in PASSED if name in self.headers}
                with one_at_a_time:
                    proxy.asked.append(f"{self.command} {self.path.partition('?')[0]}")
                    found = ask(self.command, self.path, body, headers)
                content = found.content.replace(proxy.upstream.encode(), proxy.url.encode())
                self.send_response(found.status_code)
                for name in ("content-type", "cache-control"):
                    if name in found.headers:
                        self.send_header(name, found.headers[name])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer

            def log_message(self, format: str, *arguments: object) -> None:
                """Nothing: the test's output is the client's."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.host = f"localhost:{self.port}"
        self.url = f"http://{self.host}"
        self.certificate: Path | None = None
        if folder is not None:
            self.certificate, key = certify(folder)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://{self.host}"

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def certify(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost, good for a day, and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "localhost.pem", folder / "localhost.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, private
