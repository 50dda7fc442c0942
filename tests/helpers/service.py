"""A local HTTP server that is told things, and ports that treat those who connect badly."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class Service:
    """A local HTTP server that keeps what it was told."""

    def __init__(self, answer: int = 200) -> None:
        self.told: list[dict[str, Any]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.told.append(json.loads(body))
                self.send_response(answer)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                """Say nothing on stderr."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"json://127.0.0.1:{self.server.server_port}/"


@contextmanager
def serving(answer: int = 200) -> Iterator[Service]:
    service = Service(answer)
    thread = threading.Thread(target=service.server.serve_forever)
    thread.start()
    try:
        yield service
    finally:
        service.server.shutdown()
        thread.join()
        service.server.server_close()


@contextmanager
def listening(treat: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a port whose connections are treated in some bad way."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                treat(connection)
                kept.append(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"json://127.0.0.1:{server.getsockname()[1]}/"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in kept:
        connection.close()
