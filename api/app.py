"""Makes the web application from the parts it stands on; everything it serves is listed here."""

from __future__ import annotations

from flask import Flask, Response

from api import docs, errors, health, metrics, request_log, routing, services
from api.body import MEGABYTE
from api.converters import CONVERTERS
from api.holding import Held
from api.replies import without_content
from api.routing import Endpoint
from api.v1 import ROUTES, chat_sockets
from api.web import problems, site
from app.runtime import Runtime


def endpoints() -> list[Endpoint]:
    """Every operation of the HTTP API, in the order of the document."""
    return [endpoint for routes in (*ROUTES, health.routes, metrics.routes) for endpoint in routes]


class WebApplication(Flask):
    """Flask, but `OPTIONS` only says which methods there are; it shows nothing else to anybody."""

    def make_default_options_response(self) -> Response:
        """204 with `Allow`."""
        allowed = super().make_default_options_response().headers["Allow"]
        return without_content(204, {"Allow": allowed})


def create_app(runtime: Runtime) -> Flask:
    """A WSGI application on these parts. The caller closes the runtime."""
    app = WebApplication(
        "api",
        static_folder="static",
        static_url_path="/static",
        template_folder="web/templates",
    )
    app.config["MAX_CONTENT_LENGTH"] = MEGABYTE
    app.url_map.merge_slashes = False  # `//api` is another address, not a redirect to ours
    app.url_map.converters.update(CONVERTERS)
    app.extensions["llm_jobs"] = runtime
    app.extensions["llm_jobs_held"] = Held(runtime.settings.web_threads)
    request_log.install(app, rate=runtime.settings.rate_limit)
    errors.install(app, for_people=problems.for_people, page=problems.answer)
    routing.install(app, endpoints())
    docs.install(app, endpoints())
    site.install(app)
    chat_sockets.install(app)
    services.install(app)
    return app
