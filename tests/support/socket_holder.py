"""Holds listening sockets for a service, as systemd does: `socket_holder.py PORTS LOG COMMAND...`.

PORTS are separated by commas; the sockets are on 127.0.0.1. The service gets them by the protocol of
sd_listen_fds(3). A line on standard input restarts it: it is asked to end, waited for, and started
again, and `restarted` is printed. At the end of the input it is ended for good.
"""

import fcntl
import os
import signal
import socket
import sys

FIRST = 3  # SD_LISTEN_FDS_START

ports, log, command = sys.argv[1], sys.argv[2], sys.argv[3:]
sockets = []
for port in ports.split(","):
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", int(port)))
    held.listen(4096)
    sockets.append(held)


def start():
    service = os.fork()
    if service:
        return service
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    # Out of the way first: one may have the number that another is to get.
    copies = [fcntl.fcntl(held.fileno(), fcntl.F_DUPFD_CLOEXEC, 100) for held in sockets]
    for at, copy in enumerate(copies):
        os.dup2(copy, FIRST + at, inheritable=True)
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = str(len(sockets))
    os.execv(command[0], command)


service = start()
print("started", flush=True)
for _ in sys.stdin:
    os.kill(service, signal.SIGTERM)
    os.waitpid(service, 0)
    service = start()
    print("restarted", flush=True)
os.kill(service, signal.SIGTERM)
os.waitpid(service, 0)
