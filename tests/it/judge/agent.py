"""The packets of the kernel-judge tests: agent.py HOST CALLER CONTAINER PORT...

One process with sockets in three network namespaces: servers on every port in HOST and CONTAINER, both families,
and callers in CALLER. Prints "ready"; then each line on standard input is a round,

    {"quiet": seconds, "calls": [[source, source port or 0, target, port], ...]}

and each line on standard output is its answer, a list of 1 (the whole handshake stood) and 0. All calls of a round
are made at the same time; the round ends when each has its answer or when nothing has happened for `quiet` seconds.

A handshake stands when the caller's connect ended well and a server accepted the call, which takes the caller's ACK.
Where the source address was translated on the way, the server's first byte says so.
"""
import ctypes
import json
import os
import resource
import selectors
import socket
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
IP_TRANSPARENT = 19
SYNCHRONOUS_RESET = struct.pack("ii", 1, 0)


def enter(namespace):
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if libc.setns(handle, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"setns {namespace}")
    os.close(handle)


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listen(namespace, ports, selector):
    enter(namespace)
    for port in ports:
        for kind, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            server = socket.socket(kind)
            server.setblocking(False)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if kind == socket.AF_INET6:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.bind((address, int(port)))
            server.listen(4096)
            selector.register(server, selectors.EVENT_READ, None)


class Round:
    """Calls under way: where each stands, by its source address and port."""

    def __init__(self, selector, calls):
        self.selector = selector
        self.accepted, self.connected, self.waiting = set(), set(), {}
        self.greeted = set()
        self.keys, self.open = [], []
        for source, source_port, target, port in calls:
            self.keys.append(self.call(source, source_port, target, port))

    def call(self, source, source_port, target, port):
        client = socket.socket(family(source))
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, SYNCHRONOUS_RESET)
        if client.family == socket.AF_INET:
            # Any address may be the source, not the caller's own alone.
            client.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
        try:
            client.bind((source, source_port))
            key = (socket.inet_pton(client.family, source), client.getsockname()[1])
            client.connect_ex((target, port))
        except OSError as error:
            print(f"{source} port {source_port}: {error}", file=sys.stderr)
            client.close()
            return None
        self.open.append(client)
        self.waiting[key] = client
        self.selector.register(client, selectors.EVENT_WRITE, key)
        return key

    def finish(self, quiet):
        last = time.monotonic()
        while self.unanswered() and time.monotonic() < last + quiet:
            for event, _ in self.selector.select(max(0.0, last + quiet - time.monotonic())):
                last = time.monotonic()
                if event.data is None:
                    self.accept(event.fileobj)
                elif event.data in self.connected:
                    self.greet(event.fileobj, event.data)
                else:
                    self.connect(event.fileobj, event.data)
        for client in self.waiting.values():
            self.selector.unregister(client)
        for client in self.open:
            client.close()
        stood = self.connected & (self.accepted | self.greeted)
        return [int(key in stood) for key in self.keys]

    def unanswered(self):
        return self.waiting.keys() - (self.connected & self.accepted)

    def accept(self, server):
        while True:
            try:
                peer, address = server.accept()
            except BlockingIOError:
                return
            except OSError:
                continue
            self.accepted.add((socket.inet_pton(server.family, address[0]), address[1]))
            peer.send(b"k")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, SYNCHRONOUS_RESET)
            self.open.append(peer)

    def connect(self, client, key):
        if client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            self.connected.add(key)
            self.selector.modify(client, selectors.EVENT_READ, key)
        else:
            self.end(client, key)

    def greet(self, client, key):
        try:
            if client.recv(1):
                self.greeted.add(key)
        except OSError:
            pass
        self.end(client, key)

    def end(self, client, key):
        self.selector.unregister(client)
        del self.waiting[key]


def main(host, caller, container, ports):
    resource.setrlimit(resource.RLIMIT_NOFILE, (16384, 16384))
    selector = selectors.DefaultSelector()
    listen(host, ports, selector)
    listen(container, ports, selector)
    enter(caller)
    print("ready", flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        answer = Round(selector, wanted["calls"]).finish(wanted["quiet"])
        print(json.dumps(answer), flush=True)


main(*sys.argv[1:4], sys.argv[4:])
