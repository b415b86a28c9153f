"""The clients of the nginx-judge tests: agent.py SERVER CLIENT

One process that opens sockets in two network namespaces. Prints "ready"; then each line on standard input is a round,

    {"calls": [[source, place, peer, target, port], ...], "request": text, "proxied": "v1", "v2" or null,
     "tls": server name, "" for none named, or null for plain}

and each line on standard output is its answer: for each call the status of the response, 0 where the connection was
closed without one, -1 where it could not be opened. `place` is the namespace (0 server, 1 client), `peer` the address
that the connection comes from, and {source} in the request is the caller as a proxy would tell of it. A target
`unix:/path` is a socket in the file system.
"""
import ctypes
import ipaddress
import json
import os
import socket
import ssl
import struct
import sys

CLONE_NEWNET = 0x40000000
IP_TRANSPARENT = 19
SYNCHRONOUS_RESET = struct.pack("ii", 1, 0)
PATIENCE_SECONDS = 10
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


class Namespaces:
    def __init__(self, names):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.handles = [os.open(f"/run/netns/{name}", os.O_RDONLY) for name in names]
        self.current = None

    def enter(self, place):
        if self.current != place:
            if self.libc.setns(self.handles[place], CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            self.current = place


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def proxied(version, source, port):
    """The header of the PROXY protocol that a proxy writes for a source."""
    six = ":" in source
    target = "2a00:1::1" if six else "20.0.0.1"
    if version == "v1":
        return f"PROXY {'TCP6' if six else 'TCP4'} {source} {target} 40000 {port}\r\n".encode()
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    body = addresses + struct.pack("!HH", 40000, port)
    return SIGNATURE + bytes([0x21, 0x21 if six else 0x11]) + struct.pack("!H", len(body)) + body


def connect(spaces, place, peer, target, port):
    if target.startswith("unix:"):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE_SECONDS)
        client.connect(target[len("unix:"):])
        return client
    spaces.enter(place)
    client = socket.socket(family(target))
    client.settimeout(PATIENCE_SECONDS)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, SYNCHRONOUS_RESET)
    if client.family == socket.AF_INET:
        # Any address may be the peer, not the client's own alone.
        client.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
    client.bind((peer, 0))
    client.connect((target, port))
    return client


def status(client):
    text = b""
    while b"\r\n" not in text:
        more = client.recv(4096)
        if not more:
            return 0
        text += more
    return int(text.split()[1])


def call(spaces, wanted, context, one):
    source, place, peer, target, port = one
    try:
        client = connect(spaces, place, peer, target, port)
    except ConnectionRefusedError:
        return -1
    try:
        if wanted["proxied"]:
            client.sendall(proxied(wanted["proxied"], source, port))
        if wanted["tls"] is not None:
            client = context.wrap_socket(client, server_hostname=wanted["tls"] or None)
        client.sendall(wanted["request"].replace("{source}", source).encode("latin-1"))
        return status(client)
    except (ConnectionError, ssl.SSLError):
        return 0
    finally:
        client.close()


def main(server, client):
    spaces = Namespaces([server, client])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    print("ready", flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        print(json.dumps([call(spaces, wanted, context, one) for one in wanted["calls"]]), flush=True)


main(*sys.argv[1:])
