"""The folder of one registry: DIR/muniment.toml, DIR/keys/{log.pem,service.pem}, DIR/records.sqlite, DIR/blobs/.

Order of making: keys, genesis, trust file, this folder; then the service starts and the genesis is posted.
"""

from pathlib import Path

from app.config import FILE_NAME, Settings, format_settings, parse_settings
from app.errors import BadInput
from app.service.keyfiles import write_new, write_seed


def registry_settings(
    folder: Path, *, origin: str, genesis: bytes, host: str = "127.0.0.1", port: int = 8080
) -> Settings:
    """Return the settings of a registry whose stores and keys lie in `folder`; `genesis` is its digest."""
    table = {
        "origin": origin,
        "genesis": genesis.hex(),
        "listen": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
    }
    return parse_settings(table, {}, folder=folder.absolute())


def write_registry(folder: Path, settings: Settings, *, log_seed: bytes, service_seed: bytes) -> None:
    """Write configuration and both key files; `folder` is made if absent. Nothing that exists is overwritten.

    Raises BadInput (`exists`) before anything is written when one of the files is there.
    """
    place = folder.absolute()
    config = place / FILE_NAME
    for path in (config, settings.log_key, settings.service_key):
        if path.exists():
            raise BadInput(f"{path} exists already", "Choose another folder; nothing was changed.", code="exists")
    for key, seed in ((settings.log_key, log_seed), (settings.service_key, service_seed)):
        key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_seed(key, seed)
    # Last: a folder with a configuration is whole.
    write_new(config, format_settings(settings, folder=place).encode(), mode=0o644)
