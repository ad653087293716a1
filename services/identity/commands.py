"""`subprobe keys`: principals, keys and proposals of a Tiled server with many users."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from services.identity.key_folder import KeyFolder
from services.identity.principals import SERVICES, IdentityError, Principal, Principals
from services.terminal import Context, console

keys_app = typer.Typer(
    help="Services and proposals of a Tiled server with many users; deploy/tiled/identity.md is the recipe. "
    "Needs an administrator's key in SUBPROBE_TILED__API_KEY, and the server's address in SUBPROBE_TILED__URI.",
    no_args_is_help=True,
)

FolderOption = Annotated[Path, typer.Option("--folder", "-f", help="Of the key files, NAME.key, mode 0600.")]
_KEYS = Path("keys")


@keys_app.command()
def init(context: typer.Context, folder: FolderOption = _KEYS) -> None:
    """Make the services' principals and keys, as far as they are missing: once on a fresh server."""
    keys = KeyFolder(folder)
    with _principals(context) as principals:
        known = principals.known()
        for name in SERVICES:
            principal = known.get(name)
            if principal is not None and keys.start(name) in principal.key_starts:
                console.print(f"{name}: has its key in {keys.path(name)}", soft_wrap=True)
                continue
            keys.write(name, principals.new_key(name, principal.uuid if principal else principals.create(name)))
            console.print(f"{name}: key written to {keys.path(name)}", soft_wrap=True)
    console.print("Next: `subprobe keys tags PROPOSALS.yml`; a service finds its key by SUBPROBE_TILED__API_KEY_FILE.")


@keys_app.command()
def tags(
    context: typer.Context,
    proposals: Annotated[
        Path,
        typer.Argument(
            metavar="PROPOSALS.yml",
            help="staff: [names], and proposals: {ID: [names]}, people named as they log in to Tiled.",
            exists=True,
            dir_okay=False,
        ),
    ],
    catalog: Annotated[
        str,
        typer.Option(
            envvar="TILED_CATALOG_URI",
            show_envvar=True,
            show_default=False,
            help="Database of Tiled's catalogue, as in its configuration; a password in it belongs into the variable.",
        ),
    ],
) -> None:
    """Say who belongs to which proposal, in place of what was said before; it holds at once, without a restart."""
    from services.catalog.access_tags import write_access_tags
    from services.identity.proposals import access_tags, read_proposals

    said = read_proposals(proposals)
    with _principals(context) as principals:
        known = principals.known()
    if missing := sorted(set(SERVICES) - set(known)):
        raise IdentityError(f"there is no {', '.join(missing)} on this server: run `subprobe keys init` first")
    write_access_tags(catalog, access_tags(said, {name: known[name].uuid for name in SERVICES}))
    console.print(f"{len(said.proposals)} proposals, {len(said.people)} people, {len(said.staff)} of them staff")


@keys_app.command()
def rotate(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=f"{', '.join(SERVICES)}.")],
    folder: FolderOption = _KEYS,
    keep_old: Annotated[
        bool,
        typer.Option("--keep-old", help="Until the new key is on every machine; a later rotate ends all older ones."),
    ] = False,
) -> None:
    """Give a service a new key and end its others; processes that read the file go on without a restart."""
    keys = KeyFolder(folder)
    with _principals(context) as principals:
        principal = _known(principals, name)
        keys.write(name, principals.new_key(name, principal.uuid))
        ended = () if keep_old else principal.key_starts
        for key_start in ended:
            principals.revoke(principal, key_start)
    console.print(f"{name}: new key in {keys.path(name)}; {len(ended)} older ones are void", soft_wrap=True)


@keys_app.command("list")
def list_keys(context: typer.Context, folder: FolderOption = _KEYS) -> None:
    """The services, and whether the key of each is in the folder."""
    keys = KeyFolder(folder)
    table = Table("service", "principal", "keys", "key file", "may")
    with _principals(context) as principals:
        known = principals.known()
    for name, service in SERVICES.items():
        principal = known.get(name)
        held = principal is not None and keys.start(name) in principal.key_starts
        table.add_row(
            name,
            "none" if principal is None else principal.uuid,
            str(0 if principal is None else len(principal.key_starts)),
            str(keys.path(name)) if held else "none, or void",
            " ".join(service.scopes),
        )
    console.print(table)


def _principals(context: typer.Context) -> Principals:
    common: Context = context.obj
    settings = common.settings()
    return Principals(str(settings.tiled.uri), settings.tiled.key)


def _known(principals: Principals, name: str) -> Principal:
    if name not in SERVICES:
        raise IdentityError(f"there is no service {name!r}: {', '.join(SERVICES)}")
    known = principals.known()
    if name not in known:
        raise IdentityError(f"there is no {name} on this server: run `subprobe keys init` first")
    return known[name]
