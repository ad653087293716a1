"""Where a running stack answers, read from its folder."""

from pydantic import HttpUrl, SecretStr

from services.settings import Settings
from services.stack.embedded import read_stack_file
from services.stack.folder import StackFolder
from services.stack.processes import StackError


def with_stack_address(settings: Settings) -> Settings:
    """Settings of a client: an address and key given by the user stay, else those of the stack in the folder.

    Raises:
        StackError: no key was given and no stack runs in the folder.
    """
    if settings.tiled.key.current():
        return settings
    folder = StackFolder(settings.folder.resolve())
    record = read_stack_file(folder)
    if record is None:
        raise StackError(
            f"no stack runs in {folder.root}: start one with `subprobe up --folder {settings.folder}`, "
            "or give SUBPROBE_TILED__URI and SUBPROBE_TILED__API_KEY of a Tiled server"
        )
    tiled = settings.tiled.model_copy(
        update={"uri": HttpUrl(str(record["tiled_uri"])), "api_key": SecretStr(folder.api_key())}
    )
    service = HttpUrl(str(record["service_uri"]))
    reconstruction = settings.reconstruction.model_copy(update={"host": service.host, "port": service.port})
    return settings.model_copy(update={"tiled": tiled, "reconstruction": reconstruction, "folder": folder.root})
