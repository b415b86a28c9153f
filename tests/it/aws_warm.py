"""The AWS command line, loaded once: each call is a fork of a process that has it in memory already.

Loading takes it half a second of a processor, and tests make thousands of calls. What is run is the command line itself, with
the arguments, environment, folder and open files of whoever calls.

    aws_warm.py serve SOCKET
    aws_warm.py call SOCKET ARGUMENT…
"""

import json
import os
import signal
import socket
import sys
import traceback


def call(place, arguments):
    request = json.dumps({"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place)
        socket.send_fds(connection, [len(request).to_bytes(4, "big")], [0, 1, 2])
        connection.sendall(request)
        answer = connection.recv(4)
    return int(answer) if answer else 255


def whole(connection, size):
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            os._exit(1)
        parts += part
    return bytes(parts)


def answer(connection):
    """One call, in a process of its own."""
    size, files, _, _ = socket.recv_fds(connection, 4, 3)
    if not files:
        return
    for target, file in enumerate(files):
        os.dup2(file, target)
    request = json.loads(whole(connection, int.from_bytes(size, "big")))
    # Loading it has put the place of its data there.
    data = os.environ["AWS_DATA_PATH"]
    os.environ.clear()
    os.environ.update(request["environment"], AWS_DATA_PATH=data)
    os.chdir(request["folder"])
    sys.argv = ["aws", *request["arguments"]]
    import awscli.clidriver

    try:
        code = awscli.clidriver.main()
    except SystemExit as ended:
        code = ended.code
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(str(int(code or 0)).encode())


def serve(place):
    import awscli.clidriver
    import botocore.loaders

    load = botocore.loaders.JSONFileLoader.load_file
    known = {}

    def once(self, path):
        if path not in known:
            known[path] = load(self, path)
        return known[path]

    botocore.loaders.JSONFileLoader.load_file = once
    driver = awscli.clidriver.create_clidriver()
    driver.session.get_service_model("ec2")
    driver.session.create_client("ec2", region_name="eu-north-1", aws_access_key_id="x", aws_secret_access_key="x")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(64)
    # Nobody waits for the calls: their callers hear from them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            try:
                answer(connection)
            except BaseException:
                traceback.print_exc()
            os._exit(0)
        connection.close()


if sys.argv[1] == "serve":
    serve(sys.argv[2])
else:
    sys.exit(call(sys.argv[2], sys.argv[3:]))
