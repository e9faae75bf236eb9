"""`muniment init DIR`: found a registry: keys, genesis, trust file, policy, and the folder that `serve` takes."""

import argparse
import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.cli.output import add_json, note, show
from app.cli.person import clock, home_of, unlock
from app.errors import BadInput


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "init",
        help="found a registry",
        description="Found a registry in DIR, signed by its first registrar, who is you. Then start it (muniment serve "
        "--dir DIR/registry) and post its genesis (muniment init DIR --post). Publish trust.json where everybody can "
        "read it and nobody can change it.",
    )
    parser.add_argument("dir", metavar="DIR", type=Path, help="the registry's new folder")
    parser.add_argument(
        "--origin", help="the ledger's name for ever: a URL without schema, such as court.example/evidence"
    )
    parser.add_argument("--name", default="Registrar", help="the first registrar's name, if he has no identity yet")
    parser.add_argument(
        "--authority",
        metavar="CARD",
        type=Path,
        action="append",
        default=[],
        help="the identity.json of an office of the authority; several. Without it the keys are made here",
    )
    parser.add_argument("--keys", type=int, default=3, help="how many authority keys to make here (default 3)")
    parser.add_argument("-m", type=int, default=2, help="how many of them it takes (default 2)")
    parser.add_argument("--port", type=int, default=8080, help="where the service will listen (default 8080)")
    parser.add_argument("--host", default="127.0.0.1", help="where the service will listen (default 127.0.0.1)")
    parser.add_argument(
        "--anchors",
        metavar="FILE",
        type=Path,
        help="an anchors.toml: who vouches for this registry's time. Its authorities, and how many must agree, go into "
        "the trust file, and the registry uses it (docs/operate/anchors.md)",
    )
    parser.add_argument("--post", action="store_true", help="the service runs: post the genesis to it")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Found, or post the genesis."""
    if args.post:
        return asyncio.run(_post(args))
    if args.origin is None:
        raise BadInput("a registry needs an origin", "Name it with --origin.", code="no_origin")
    return _found(args)


def _found(args: argparse.Namespace) -> int:
    from app.client.authority import write_authority_key  # noqa: PLC0415
    from app.client.files import make_folder, read_file, write_file  # noqa: PLC0415
    from app.client.founding import found  # noqa: PLC0415
    from app.client.home import Settings, parse_card, read_passphrase  # noqa: PLC0415
    from app.service.found import registry_settings, write_registry  # noqa: PLC0415
    from app.statements.kinds import Authority  # noqa: PLC0415
    from app.statements.statement import Signer  # noqa: PLC0415

    folder: Path = args.dir
    if (folder / "genesis.jws").exists():
        raise BadInput(f"{folder} holds a registry already", "Choose another folder.", code="already_there")
    home = home_of()
    cards = [parse_card(read_file(each, "an authority's card", most=16_384)) for each in args.authority]
    count = len(cards) or args.keys
    if not 1 <= args.m <= count <= 31:
        raise BadInput(f"{args.m} of {count} keys is no authority", "Choose 1 ≤ m ≤ keys ≤ 31.", code="bad_threshold")
    if home.identity_path.exists():
        keys = unlock(home)
    else:
        home, keys = home.create(home.path, name=args.name, passphrase=read_passphrase("New passphrase: ", twice=True))
    # Everything is made and checked in memory first: a refusal leaves nothing behind.
    seeds = [] if cards else [os.urandom(32) for _ in range(args.keys)]
    publics = [card.key for card in cards] or [Signer(seed).public for seed in seeds]
    log_seed, service_seed = os.urandom(32), os.urandom(32)
    tsa, headers = _time(args.anchors)
    founding = found(
        origin=args.origin,
        registrar=keys,
        authority=Authority(keys=tuple(publics), m=args.m),
        log_seed=log_seed,
        service_seed=service_seed,
        now=clock(),
        rng=os.urandom,
        tsa=tsa,
        headers=headers,
    )
    settings = registry_settings(
        folder / "registry", origin=args.origin, genesis=founding.genesis.digest, host=args.host, port=args.port
    )
    if args.anchors is not None:
        settings = replace(settings, anchors=args.anchors.absolute())
    make_folder(folder)
    files = [folder / "authority" / f"authority-{number}.age" for number in range(1, len(seeds) + 1)]
    passphrase = read_passphrase("Passphrase of the authority's keys: ", twice=True) if seeds else ""
    for path, seed in zip(files, seeds, strict=True):
        write_authority_key(path, seed, passphrase)
    write_registry(folder / "registry", settings, log_seed=log_seed, service_seed=service_seed)
    write_file(folder / "trust.json", founding.trust.encode() + b"\n", mode=0o644)
    write_file(folder / "policy.txt", founding.policy.encode(), mode=0o644)
    trust = home.set_trust(founding.trust.encode())
    host = f"[{args.host}]" if ":" in args.host else args.host
    home.set_settings(Settings(service=f"http://{host}:{args.port}"))
    # Last: a folder with a genesis is whole.
    write_file(folder / "genesis.jws", founding.genesis.text.encode(), mode=0o644)
    show(
        args,
        {
            "origin": args.origin,
            "genesis": founding.genesis.digest.hex(),
            "trust": str(folder / "trust.json"),
            "trust_sha256": trust.sha256.hex(),
            "policy": str(folder / "policy.txt"),
            "registry": str(folder / "registry"),
            "authority": [str(path) for path in files],
            "registrar": keys.signer.kid,
        },
        [
            f"{args.origin} is founded by {keys.name} ({keys.signer.kid})",
            f"trust file {folder / 'trust.json'}, SHA-256 {trust.sha256.hex()}",
            f"next: muniment serve --dir {folder / 'registry'}, then muniment init {folder} --post",
        ],
    )
    if files:
        names = ", ".join(map(str, files))
        note(f"Take the authority's keys ({names}) to {len(files)} different offices, and off this machine.")
    return 0


def _time(anchors: Path | None) -> tuple[object, object]:
    """What the trust file says of time-stamp authorities, and of Bitcoin: the built-in checkpoint by default."""
    from app.service.anchor_settings import load_anchor_terms  # noqa: PLC0415
    from app.statements.trust_time import TsaTrust, headers_json, tsa_json  # noqa: PLC0415
    from ledger.anchors.mainnet import CHECKPOINT  # noqa: PLC0415

    if anchors is None:
        return None, headers_json(CHECKPOINT)
    terms = load_anchor_terms(anchors)
    tsa = tsa_json(TsaTrust(m=terms.tsa_quorum, authorities=terms.authorities)) if terms.tsas else None
    return tsa, headers_json(terms.bitcoin)


async def _post(args: argparse.Namespace) -> int:
    from app.cli.person import connected  # noqa: PLC0415
    from app.client.files import read_file  # noqa: PLC0415
    from app.statements.statement import MAX_STATEMENT_BYTES, parse_statement  # noqa: PLC0415
    from app.statements.trust import check_genesis  # noqa: PLC0415

    genesis = parse_statement(read_file(args.dir / "genesis.jws", "the genesis", most=MAX_STATEMENT_BYTES))
    async with connected() as client:
        check_genesis(client.trust, genesis)
        receipt = await client.submit(genesis)
        state = await client.confirm(receipt)
    show(
        args,
        {"genesis": genesis.digest.hex(), "index": receipt.index, "size": state.checkpoint.size},
        [f"the genesis {genesis.digest.hex()} is entry {receipt.index} of {client.trust.origin}"],
    )
    return 0
