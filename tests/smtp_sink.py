"""A mail server that keeps what it gets."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Conversation(socketserver.StreamRequestHandler):
    server: "SMTPSink"
    timeout = 10

    def handle(self) -> None:
        self._say("220 sink")
        for line in self.rfile:
            match line[:4].upper():
                case b"DATA":
                    self._say("354 end with a dot")
                    self.server.mails.append(self._read_mail())
                    self._say("250 kept")
                case b"QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 sink")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def _read_mail(self) -> str:
        lines = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            lines.append(line.decode())
        return "".join(lines)


class SMTPSink(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.mails: list[str] = []

    @property
    def url(self) -> str:
        """An ``EMAIL_URL``."""
        return f"smtp://127.0.0.1:{self.server_address[1]}"


@contextmanager
def running_smtp_sink() -> Iterator[SMTPSink]:
    with SMTPSink() as sink:
        thread = threading.Thread(target=sink.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        try:
            yield sink
        finally:
            sink.shutdown()
            thread.join()
