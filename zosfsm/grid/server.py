"""The grid server: every endpoint of the BCDB interface over a database. An application, no process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from zosfsm.grid.changes import Changes
from zosfsm.grid.database import Database
from zosfsm.grid.exchange import REFUSALS, Uploads, refused
from zosfsm.grid.farm_endpoints import FarmEndpoints
from zosfsm.grid.node_endpoints import NodeEndpoints
from zosfsm.grid.reservation_endpoints import ReservationEndpoints

Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(database: Database, changes: Changes | None = None, uploads: Uploads | None = None) -> Starlette:
    """The application. A server that stops closes `changes` and ends `uploads`: then no request is held any longer."""
    news = changes or Changes()
    farms, nodes, reservations = FarmEndpoints(database), NodeEndpoints(database), ReservationEndpoints(database, news)
    routes = [
        _route("/farms", POST=farms.add, GET=farms.all),
        _route("/farms/list", POST=farms.listed),
        _route("/farms/{farm_id}", GET=farms.one),
        _route("/nodes", POST=nodes.register, GET=nodes.all),
        _route("/nodes/list", POST=nodes.listed),
        _route("/nodes/{node_id}", GET=nodes.one),
        _route("/nodes/{node_id}/interfaces", POST=nodes.interfaces),
        _route("/nodes/{node_id}/ports", POST=nodes.ports),
        _route("/nodes/{node_id}/configure_public", POST=nodes.configure_public),
        _route("/nodes/{node_id}/capacity", POST=nodes.capacity),
        _route("/nodes/{node_id}/uptime", POST=nodes.uptime),
        _route("/reservations/{node_id}/poll", GET=reservations.poll),
        _route("/reservations/{id}/deleted", PUT=reservations.mark_deleted),
        _route(
            "/reservations/{id}",
            POST=reservations.add,
            GET=reservations.one,
            PUT=reservations.put_result,
            DELETE=reservations.delete,
        ),
    ]
    app = Starlette(routes=routes, exception_handlers=dict.fromkeys(REFUSALS, refused))
    # A path with a slash too many is a wrong path: nobody who speaks this interface follows redirections.
    app.router.redirect_slashes = False
    app.state.uploads = uploads or Uploads()
    return app


def _route(path: str, **endpoints: Endpoint) -> Route:
    """One route for all methods of a path, so that a wrong method's refusal names all that are right."""

    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await endpoints[method](request)

    return Route(path, answer, methods=list(endpoints))
