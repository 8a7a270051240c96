"""No byte can be sent to the model: its name does not resolve, or who answers is not it. No attempt is used, and rooms wait."""

import socket
import ssl
import subprocess
import threading

import pytest

OWN_CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost".split()
)


@pytest.fixture
def impostor(tmp_path):
    """A TLS server with a certificate that nobody has signed: its URL."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run([*OWN_CERTIFICATE, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=greet, args=(listener, context), daemon=True).start()
        yield f"https://localhost:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def greet(listener, context):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()


@pytest.mark.shows("F85")
@pytest.mark.parametrize("kind", ["no such name", "no TLS", "own certificate"])
def test_no_attempt_is_used(world, kind, impostor):
    urls = {
        "no such name": "https://nowhere.invalid",
        "no TLS": world.model.url.replace("http:", "https:"),
        "own certificate": impostor,
    }
    rooms = world.given_rooms(4)
    lost = world.start_consumer(llm__base_url=urls[kind], breaker__failures=3)
    for room in rooms:
        world.publish(room)
    world.expect_metric("roomclaim_model_verdicts_total", "unreachable", at_least=3)
    world.expect_metric("roomclaim_breaker_state")
    lost.stop()
    assert world.model.stats()["calls"] == 0
    assert {world.state(room)[2] for room in rooms if world.state(room)} <= {0}
    assert world.dead_letters() == []

    for room in rooms:
        world.make_due(room)  # a room that the first one's sweep had in hand stays its own for 30 s
    world.start_consumer()
    world.expect_completed(*rooms)
    for room in rooms:
        world.expect_model_calls(room, 1)
        assert world.state(room)[2] == 1
