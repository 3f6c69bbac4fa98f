"""The services of OpenFn's Apollo over HTTP: `/services/<name>`, plain and streamed.

    routes.py   the addresses: services, echo, test errors, `/status`, the page for probes
    asking.py   whose request it is, and what is in it
    stream.py   the events of a streamed answer, byte for byte as Lightning reads them

Their requests, answers and errors are another project's, so they are not in our OpenAPI document;
docs/how-to/use-as-apollo.md tells them.
"""

from api.services.routes import install

__all__ = ["install"]
