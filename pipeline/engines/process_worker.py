"""What a process of the engine `processes` runs: videos come by a connection, whose end is its own."""

import os
import sys
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

from pipeline.engines.messages import Order, Place
from pipeline.engines.worker import Worker


def main() -> None:
    """Serve the driver at the other end of the descriptor that is named by the first argument."""
    connection = Connection(int(sys.argv[1]))
    order, place = connection.recv()
    assert isinstance(order, Order), order
    assert isinstance(place, Place), place
    worker, inbox = Worker(order, place), SimpleQueue[Any]()
    Thread(target=_follow, args=(connection, inbox, worker), daemon=True).start()
    connection.send(worker.begin())
    while True:
        connection.send(worker.do(inbox.get()))


def _follow(connection: Connection, inbox: "SimpleQueue[Any]", worker: Worker) -> None:
    """Take what comes; when the driver has closed its end, or is gone, end this process, whatever it does."""
    try:
        while True:
            inbox.put(connection.recv())
    except (EOFError, OSError):
        worker.let_go()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
