"""acme2certifier as a server of its own: `acme_server.py DIRECTORY PORT`.

DIRECTORY has `cert.pem` and `key.pem` for TLS, `ca.pem` and `ca.key` to issue with, and
`acme_srv.cfg`. It validates nothing: it has no say in which ports it would look at. Each
request is printed as one line.
"""

import os
import ssl
import sys

directory, port = sys.argv[1], int(sys.argv[2])
os.environ["ACME_SRV_CONFIGFILE"] = os.path.join(directory, "acme_srv.cfg")
os.environ["ACME2CERTIFIER_BASE_DIR"] = directory
os.environ["ACME2CERTIFIER_I_KNOW_THE_RISK"] = "1"
os.chdir(directory)

from socketserver import ThreadingMixIn  # noqa: E402
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server  # noqa: E402

from acme2certifier.share.acme2certifier_wsgi import application  # noqa: E402


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.0"


def https(environ, start_response):
    """It writes its own address into its directory, and has to know that it is https."""
    environ["wsgi.url_scheme"] = "https"
    environ["HTTPS"] = "on"
    return application(environ, start_response)


server = make_server("127.0.0.1", port, https, server_class=Server, handler_class=Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem"))
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print("ready", flush=True)
server.serve_forever()
