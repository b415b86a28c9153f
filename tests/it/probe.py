"""What the namespace tests send: probe.py serve PORT... | connect PORT TARGET4 TARGET6 SOURCE... | loop PORT TARGET SOURCE SECONDS | get PORT PATH TARGET4 TARGET6 SOURCE... | call PORT PATH TARGET SOURCE STOP TOLD

serve    accepts connections on every port, both families, until killed; prints "ready".
connect  tries one TCP connection from each source at the same time and prints the sources that got in.
loop     connects from one source again and again until its input ends; prints how often, how often in vain, and how often a
         packet had to be sent again.
get      asks for PATH over HTTP from each source and prints "SOURCE STATUS" lines.
call     asks for PATH from one source again and again until there is a file STOP, and writes into TOLD how many calls it made
         and how many of them were not answered with status 200.
"""
import os
import selectors
import socket
import struct
import sys
import time

DEADLINE_SECONDS = 0.6


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(ports):
    selector = selectors.DefaultSelector()
    for port in ports:
        for kind, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            listener = socket.socket(kind)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if kind == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address, int(port)))
            listener.listen(256)
            selector.register(listener, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            key.fileobj.accept()[0].close()


def connect(port, targets, sources):
    selector = selectors.DefaultSelector()
    admitted, waiting = set(), 0
    for source in sources:
        client = socket.socket(family(source))
        client.setblocking(False)
        client.bind((source, 0))
        client.connect_ex((targets[family(source)], int(port)))
        selector.register(client, selectors.EVENT_WRITE, source)
        waiting += 1
    end = time.monotonic() + DEADLINE_SECONDS
    while waiting and time.monotonic() < end:
        for key, _ in selector.select(max(0.0, end - time.monotonic())):
            if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                admitted.add(key.data)
            selector.unregister(key.fileobj)
            key.fileobj.close()
            waiting -= 1
    for source in sources:
        if source in admitted:
            print(source)


def get(port, path, targets, sources):
    for source in sources:
        client = socket.socket(family(source))
        client.settimeout(5)
        client.bind((source, 0))
        client.connect((targets[family(source)], int(port)))
        client.sendall(f"GET {path} HTTP/1.0\r\nHost: callbacks.test\r\n\r\n".encode())
        print(source, client.recv(64).split()[1].decode())
        client.close()


def loop(port, target, source, seconds):
    tried, vain, again = 0, 0, 0
    asked = selectors.DefaultSelector()
    asked.register(sys.stdin, selectors.EVENT_READ)
    while not asked.select(0):
        client = socket.socket(family(source))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.settimeout(float(seconds))
        client.bind((source, 0))
        tried += 1
        try:
            client.connect((target, int(port)))
            # tcpi_total_retrans: a SYN that was dropped is sent again after a second.
            told = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
            again += struct.unpack_from("I", told, 100)[0] > 0
        except OSError:
            vain += 1
        client.close()
        time.sleep(0.001)
    print(tried, vain, again)


def call(port, path, target, source, stop, told):
    calls, lost = 0, 0
    while not os.path.exists(stop):
        calls += 1
        try:
            with socket.socket(family(source)) as client:
                client.settimeout(5)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                client.bind((source, 0))
                client.connect((target, int(port)))
                client.sendall(f"GET {path} HTTP/1.0\r\nHost: callbacks.test\r\n\r\n".encode())
                lost += client.recv(64).split()[1] != b"200"
                # Closed by the server first: no port stays behind here.
                while client.recv(4096):
                    pass
        except (OSError, IndexError) as error:
            print(f"call {calls} of {source}: {error!r}", file=sys.stderr)
            lost += 1
    with open(told, "w") as file:
        file.write(f"{calls} {lost}\n")


what, *rest = sys.argv[1:]
if what == "serve":
    serve(rest)
elif what == "call":
    call(*rest)
elif what == "connect":
    port, target4, target6, *sources = rest
    connect(port, {socket.AF_INET: target4, socket.AF_INET6: target6}, sources)
elif what == "loop":
    loop(*rest)
else:
    port, path, target4, target6, *sources = rest
    get(port, path, {socket.AF_INET: target4, socket.AF_INET6: target6}, sources)
