"""A fast, tiny HTTP/1.1 server: one thread per connection, os.sendfile down, hashing up.

GET /file/NAME    a file of the served folder;  GET /peer  "address port" of the client as seen here
GET /             one line of text;             PUT or POST anything: "SHA-256 length" of the body
"""

import contextlib
import hashlib
import os
import socket
import threading


class HttpServer:
    def __init__(self, folder, port):
        self.folder = folder
        self.socket = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, peer = self.socket.accept()
            threading.Thread(target=self._serve, args=(connection, peer), daemon=True).start()

    def _serve(self, connection, peer):
        with connection, contextlib.suppress(OSError, ValueError), connection.makefile("rb", buffering=1 << 20) as stream:
            while self._one_request(connection, stream, peer):
                pass

    def _one_request(self, connection, stream, peer):
        line = stream.readline(65536).decode("latin-1").split()
        if len(line) < 2:
            return False
        headers = {}
        while (header := stream.readline(65536).decode("latin-1").strip()):
            key, _, value = header.partition(":")
            headers[key.lower()] = value.strip()
        method, target = line[0], line[1]
        if method in ("PUT", "POST"):
            if headers.get("expect") == "100-continue":
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._reply(connection, self._hash(stream, headers).encode())
        elif target.startswith("/file/"):
            self._send_file(connection, os.path.join(self.folder, os.path.basename(target)))
        elif target == "/peer":
            self._reply(connection, f"{peer[0].removeprefix('::ffff:')} {peer[1]}\n".encode())
        else:
            self._reply(connection, b"hello from the lab\n")
        return headers.get("connection", "").lower() != "close"

    @staticmethod
    def _hash(stream, headers):
        digest, length = hashlib.sha256(), 0
        if headers.get("transfer-encoding") == "chunked":
            while (size := int(stream.readline(64).split(b";")[0], 16)):
                digest.update(stream.read(size))
                length += size
                stream.readline(8)
            stream.readline(8)
        else:
            left, buffer = int(headers.get("content-length", 0)), bytearray(1 << 20)
            while left and (got := stream.readinto(memoryview(buffer)[: min(left, len(buffer))])):
                digest.update(memoryview(buffer)[:got])
                left -= got
                length += got
        return f"{digest.hexdigest()} {length}\n"

    @staticmethod
    def _reply(connection, body, status="200 OK"):
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    def _send_file(self, connection, path):
        try:
            source = open(path, "rb")
        except OSError:
            self._reply(connection, b"no such file\n", "404 Not Found")
            return
        with source:
            size = os.fstat(source.fileno()).st_size
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
            at = 0
            while at < size:
                at += os.sendfile(connection.fileno(), source.fileno(), at, size - at)
