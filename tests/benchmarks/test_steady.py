import socket
import threading

from benchmarks import steady

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def serve(listener: socket.socket) -> None:
    """Answer each caller's two-byte requests until all have gone."""

    def answer(caller: socket.socket) -> None:
        with caller:
            while caller.recv(2):
                caller.sendall(ANSWER[:20])
                caller.sendall(ANSWER[20:])

    for _ in range(steady.CALLERS):
        threading.Thread(target=answer, args=[listener.accept()[0]]).start()


def test_every_request_is_sent_and_answered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=[listener])
        server.start()
        told = steady.send(listener.getsockname()[1], [b"hi"], rate=500, seconds=0.2)
        server.join()
    assert told["refused"] == 0
    assert told["rate"] > 0
    assert 0 < told["p50_ms"] <= told["p99_ms"] <= told["max_ms"]
