"""Where a broker listens; what it does is told by the suites of the links that use it."""

import socket

from simulator.grid.broker import free_port


def test_a_broker_that_is_down_keeps_its_port() -> None:
    """No outgoing connection is given the port: not one of two hundred made meanwhile."""
    port = free_port()
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        address = listener.getsockname()
        outgoing = [socket.create_connection(address) for _ in range(200)]
        used = {one.getsockname()[1] for one in outgoing}
        for one in outgoing:
            one.close()
    assert port not in used
    assert port < min(used)
    with socket.create_server(("127.0.0.1", port)):
        pass
