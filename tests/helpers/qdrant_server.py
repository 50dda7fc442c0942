"""Qdrant's HTTP API as far as tmssl uses it, answered by the client's local mode: the requests are real."""

import contextlib
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from pydantic import TypeAdapter
from qdrant_client import QdrantClient, models

_PATH = re.compile(r"/collections/([^/?]+)(?:/([^?]+))?")


class Service:
    """The collections of one server."""

    def __init__(self) -> None:
        self.client = QdrantClient(":memory:")
        self.breaks_after: int | None = None
        """uploads after which the connection breaks within the next; None never does"""
        self.uploads = 0
        self.created: list[models.CreateCollection] = []

    def answer(self, method: str, name: str, what: str, body: Any) -> Any:
        """The `result` of a request."""
        actions: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", "exists"): lambda: {"exists": self.client.collection_exists(name)},
            ("GET", ""): lambda: self.client.get_collection(name).model_dump(mode="json"),
            ("PUT", ""): lambda: self._create(name, models.CreateCollection(**body)),
            ("PUT", "index"): lambda: {"operation_id": 0, "status": "completed"},
            ("PUT", "points"): lambda: self._upload(name, body),
            ("POST", "points"): lambda: self._retrieve(name, models.PointRequest(**body)),
            ("POST", "points/count"): lambda: self._count(name, models.CountRequest(**body)),
            ("POST", "points/query"): lambda: self._query(name, body),
            ("POST", "points/query/batch"): lambda: [
                self._query(name, search) for search in body["searches"]
            ],
        }
        return actions[method, what]()

    def _create(self, name: str, asked: models.CreateCollection) -> bool:
        self.created.append(asked)
        return self.client.create_collection(name, vectors_config=asked.vectors)

    def _upload(self, name: str, body: Any) -> Any:
        if self.uploads == self.breaks_after:
            self.breaks_after = None
            raise ConnectionResetError
        self.uploads += 1
        adapter: TypeAdapter[Any] = TypeAdapter(models.PointInsertOperations)
        points = adapter.validate_python(body)
        self.client.upsert(name, points.batch if "batch" in body else points.points)
        return {"operation_id": 0, "status": "completed"}

    def _retrieve(self, name: str, asked: models.PointRequest) -> Any:
        found = self.client.retrieve(name, asked.ids, with_payload=asked.with_payload or False)
        return [record.model_dump(mode="json") for record in found]

    def _count(self, name: str, asked: models.CountRequest) -> Any:
        return self.client.count(name, count_filter=asked.filter).model_dump(mode="json")

    def _query(self, name: str, body: Any) -> Any:
        asked = models.QueryRequest(**body)
        found = self.client.query_points(
            name,
            query=asked.query,
            using=asked.using,
            query_filter=asked.filter,
            limit=asked.limit or 10,
            with_payload=asked.with_payload or False,
        )
        return found.model_dump(mode="json")


@contextlib.contextmanager
def qdrant_server() -> Iterator[tuple[str, Service]]:
    """The address of a server, and its collections."""
    service, lock = Service(), threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _serve(self) -> None:
            parts = _PATH.match(self.path)
            assert parts is not None
            length = int(self.headers.get("Content-Length", 0))
            body = msgspec.json.decode(self.rfile.read(length)) if length else None
            try:
                with lock:
                    result = service.answer(self.command, parts[1], parts[2] or "", body)
            except ConnectionResetError:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
                self.close_connection = True
                return
            content = msgspec.json.encode({"result": result, "status": "ok", "time": 0.0})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = _serve

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", service
        finally:
            server.shutdown()
