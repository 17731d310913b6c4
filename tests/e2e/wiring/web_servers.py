"""The web servers of a wiring: grid, portal, false certificate. Each is a function that serves until it is ended."""

from __future__ import annotations

import socket
import ssl
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.e2e.wiring.places import GRID_HOST
from tests.e2e.wiring.processes import say
from zosfsm.grid import reservation_endpoints
from zosfsm.grid.database import Database
from zosfsm.grid.documents import Farm
from zosfsm.grid.serving import GridServer, listening_socket

LOGIN_PAGE = "http://login.example/"


def serve_grid(database_file: Path, port: int) -> None:
    """The grid database, with farm 1; it lets nobody wait for news for more than a second."""
    # So a node whose way to the grid is cut notices when it asks next, and not after the 20 s of a long poll.
    reservation_endpoints.POLL_SECONDS = 1.0
    database = Database.open(f"sqlite:///{database_file}")
    database.put_farm(Farm("home"))
    GridServer(database, lambda: say("ready")).run(sockets=[listening_socket("::", port)])


class _Portal(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", LOGIN_PAGE)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815


def serve_portal(port: int) -> None:
    """A captive portal: whatever is asked for, it leads to a page where somebody is to log in."""
    server = ThreadingHTTPServer(("0.0.0.0", port), _Portal)
    say("ready")
    server.serve_forever()


def serve_false_certificate(directory: Path, port: int) -> None:
    """HTTPS in the grid's name, with a certificate that nobody has signed but itself."""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    words = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={GRID_HOST}"
    words += f" -addext subjectAltName=DNS:{GRID_HOST} -keyout {key} -out {certificate}"
    subprocess.run(words.split(), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    say("ready")
    while True:
        connection, _ = listener.accept()
        connection.settimeout(5)
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError as refusal:
            say(f"refused: {refusal}")
            connection.close()
