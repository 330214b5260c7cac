"""A mail server for tests: takes every message and writes it down, one JSON object a line.

Usage: smtp_server.py PORT MODE [CERTIFICATE KEY], where MODE is plain, starttls, smtps or refuse.
Prints "ready" when it listens on 127.0.0.1.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP


class Postbox:
    def __init__(self, mode):
        self.mode = mode

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.mode == "refuse":
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        taken = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": server.transport.get_extra_info("ssl_object") is not None,
            "hello": session.host_name,
            "message": envelope.content.decode("utf-8", "replace"),
        }
        print(json.dumps(taken), flush=True)
        return "250 OK"


async def serve(port, mode, files):
    context = None
    if files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
    starttls = context if mode == "starttls" else None

    def protocol():
        return SMTP(Postbox(mode), tls_context=starttls, require_starttls=starttls is not None, hostname="localhost")

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        protocol, "127.0.0.1", port, ssl=context if mode == "smtps" else None
    )
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


asyncio.run(serve(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
