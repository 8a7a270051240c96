"""SIGTERM while rooms are claimed and nothing of their calls has left: they go back, and no attempt is used."""

import socket

import pytest


@pytest.mark.shows("F09")
def test_they_go_back(world):
    rooms = world.given_rooms(4)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never says a word of TLS
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        times = {
            "llm__connect_timeout": "3s",
            "llm__timeout": "5s",
            "claim__lease": "60s",
            "consumer__shutdown_grace": "9s",
        }
        first = world.start_consumer(llm__base_url=url, **times)
        for room in rooms:
            world.publish(room)
        for room in rooms:
            world.expect_status(room, "processing")
        first.stop()
    assert [world.status(room) for room in rooms] == ["initiated"] * len(rooms)
    assert {world.state(room)[2] for room in rooms} == {0}

    world.start_consumer()
    world.expect_completed(*rooms)  # long before the lease of the first would have ended
    world.expect_settled()
    for room in rooms:
        world.expect_model_calls(room, 1)
