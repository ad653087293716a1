"""A real queue server: RE manager and Redis in processes of their own, on free ports, before a real Tiled."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import zmq

from services.stack.embedded import free_port
from services.stack.processes import Child, Command, console_script

DEPLOYED = Path(__file__).parents[2] / "deploy/queueserver"
_PATIENCE_S = 60.0


class QueueServer:
    """Speaks to an RE manager as `qserver` does."""

    def __init__(self, address: str, manager: Child) -> None:
        self._context = zmq.Context()
        self._line = self._context.socket(zmq.REQ)
        self._line.setsockopt(zmq.RCVTIMEO, int(_PATIENCE_S * 1000))
        self._line.setsockopt(zmq.LINGER, 0)
        self._line.connect(address)
        self._manager = manager

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One request; the manager's answer, also where it refuses."""
        self._line.send_json({"method": method, "params": parameters})
        return dict(self._line.recv_json())

    def told(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One request that must be granted."""
        answer = self.ask(method, **parameters)
        assert answer.get("success", True), f"{method}: {answer.get('msg')}"
        return answer

    def add(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Ask for an item of the queue; the answer, also where it is refused."""
        item = {"item_type": "plan", "name": name, "kwargs": arguments}
        return self.ask("queue_item_add", item=item, user="a person", user_group="primary")

    def until(self, reached: Callable[[Mapping[str, Any]], bool]) -> None:
        """Wait until the status says so."""
        deadline = time.monotonic() + _PATIENCE_S
        while not reached(status := self.ask("status")):
            assert time.monotonic() < deadline, f"not reached: {status}\n{self.log()[-4000:]}"
            time.sleep(0.1)

    def until_idle(self) -> None:
        """Wait until nothing runs."""
        self.until(lambda status: status["manager_state"] == "idle")

    def run_queue(self) -> list[dict[str, Any]]:
        """Run what is queued; the items that ended since the history was cleared, as they ended."""
        self.told("queue_start")
        self.until_idle()
        return list(self.told("history_get")["items"])

    def close(self) -> None:
        """End the environment's process too, which a manager told to stop would leave where a plan runs."""
        if self.ask("status")["worker_environment_exists"]:
            self.told("environment_destroy")
            self.until(lambda status: not status["worker_environment_exists"])
        self._context.destroy()

    def log(self) -> str:
        """What manager and worker wrote."""
        return self._manager.command.log_file.read_text(encoding="utf-8", errors="replace")


@contextmanager
def queue_server(folder: Path, environment: Mapping[str, str]) -> Iterator[QueueServer]:
    """A manager with the deployed profile, copied to ``folder``, while the context is open."""
    profile = shutil.copytree(DEPLOYED, folder / "queueserver")
    redis_port, control_port, info_port = free_port(), free_port(), free_port()
    redis = ["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    manager = [
        console_script("start-re-manager"),
        *("--startup-script", str(profile / "startup.py")),
        *("--existing-plans-devices", str(profile / "existing_plans_and_devices.yaml")),
        *("--user-group-permissions", str(profile / "user_group_permissions.yaml")),
        *("--redis-addr", f"127.0.0.1:{redis_port}"),
        *("--zmq-control-addr", f"tcp://127.0.0.1:{control_port}", "--zmq-info-addr", f"tcp://127.0.0.1:{info_port}"),
    ]
    with ExitStack() as ended:
        for name, arguments in (("redis", redis), ("re-manager", manager)):
            child = Child(Command(name, arguments, environment, folder / f"{name}.log"))
            ended.callback(child.stop)
        server = QueueServer(f"tcp://127.0.0.1:{control_port}", child)
        ended.callback(server.close)
        yield server
