"""`muniment identity`: a person's keys, what he trusts, and the card that the registrar enrols."""

import argparse
import json
from pathlib import Path
from typing import Any

from app.cli.output import add_json, note, show
from app.cli.person import home_of

_SERVICE = "where the registry's service is; once for each replica"


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "identity",
        help="make and show your keys; set what you trust",
        description="Make and show your keys; set what you trust.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    new = actions.add_parser(
        "new", help="make fresh keys under a passphrase", description="Make fresh keys under a passphrase."
    )
    new.add_argument("--name", required=True, help="your name or office, as others will read it")
    new.add_argument("--trust", type=Path, help="the registry's trust file, from the court's gazette")
    new.add_argument("--service", metavar="URL", action="append", help=_SERVICE)
    add_json(new)
    new.set_defaults(run=run_new)

    given = actions.add_parser(
        "set",
        help="set the trust file or the service's address",
        description="Set the trust file or the service's address.",
    )
    given.add_argument("--trust", type=Path, help="the registry's trust file, from the court's gazette")
    given.add_argument("--service", metavar="URL", action="append", help=_SERVICE)
    add_json(given)
    given.set_defaults(run=run_set)

    bind = actions.add_parser(
        "bind",
        help="sign with your X.509 certificate's key that your keys here are yours",
        description="Write a file for the registrar, signed by the key of your X.509 certificate, that binds the "
        "certificate to your keys here. Nothing is sent. The file names the certificate's holder; it holds no secret.",
    )
    bind.add_argument("--key", type=Path, required=True, help="the certificate's private key, PEM")
    bind.add_argument(
        "--certificates",
        type=Path,
        required=True,
        help="PEM: your certificate first, then those of the authorities above it (the root may be left out)",
    )
    bind.add_argument("--output", "-o", metavar="FILE", type=Path, required=True, help="where to write it")
    bind.add_argument(
        "--member", metavar="ID", help="your id at the registry, if you had other keys before (default: of your keys)"
    )
    bind.add_argument("--pkcs1v15", action="store_true", help="sign by RSA PKCS #1 v1.5 instead of PSS")
    add_json(bind)
    bind.set_defaults(run=run_bind)

    shown = actions.add_parser(
        "show", help="show your card and what you trust", description="Show your card and what you trust."
    )
    add_json(shown)
    shown.set_defaults(run=run_show)


def run_new(args: argparse.Namespace) -> int:
    """Make an identity."""
    from app.client.home import read_passphrase  # noqa: PLC0415

    home = home_of()
    if args.trust is not None:
        _trust(args)  # refused before keys are made
    home, keys = home.create(home.path, name=args.name, passphrase=read_passphrase("New passphrase: ", twice=True))
    _set(args)
    path = home.path / "identity.json"
    show(
        args,
        {"home": str(home.path), "member": keys.signer.kid, "name": keys.name, "card": str(path)},
        [f"{keys.name}: {keys.signer.kid}", f"keys in {home.path}; hand {path} to the registrar"],
    )
    note("There is no way back to the keys without the passphrase: keep a copy of the folder and of the passphrase.")
    return 0


def run_set(args: argparse.Namespace) -> int:
    """Set trust or service."""
    _set(args)
    return run_show(args)


def run_bind(args: argparse.Namespace) -> int:
    """Bind a certificate, offline."""
    from app.client.binding import bind, is_locked, read_certificates, read_key  # noqa: PLC0415
    from app.client.files import read_file, write_file  # noqa: PLC0415
    from app.client.home import read_passphrase  # noqa: PLC0415
    from app.errors import BadInput  # noqa: PLC0415
    from app.identities.bindingfile import format_binding  # noqa: PLC0415
    from app.statements.keys import thumbprint  # noqa: PLC0415

    home = home_of()
    trust, current = home.trust(), thumbprint(home.card().key)
    if args.output.exists():
        raise BadInput(f"{args.output} is there already", "Name another file.", code="output_exists")
    pem = read_file(args.key, "the certificate's key", most=65_536)
    passphrase = read_passphrase("Passphrase of the certificate's key: ") if is_locked(pem) else None
    certificates = read_certificates(
        read_file(args.certificates, "the certificates", most=262_144), str(args.certificates)
    )
    made = bind(
        read_key(pem, passphrase),
        certificates,
        origin=trust.origin,
        member=args.member or current,
        current=current,
        pkcs1v15=args.pkcs1v15,
    )
    write_file(args.output, format_binding(made))
    subject = certificates[0].subject.rfc4514_string()
    show(
        args,
        {
            "file": str(args.output),
            "origin": made.origin,
            "member": made.member,
            "key": made.key,
            "subject": subject,
            "algorithm": made.algorithm,
        },
        [
            f"{subject}",
            f"is bound to the key {made.key} of the member {made.member} on {made.origin} ({made.algorithm})",
            f"hand {args.output} to the registrar",
        ],
    )
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Show the card, without the passphrase."""
    from app.canonical import format_json  # noqa: PLC0415
    from app.client.home import format_card  # noqa: PLC0415
    from app.statements.keys import thumbprint  # noqa: PLC0415

    home = home_of()
    card = home.card()
    found: dict[str, Any] = {
        "home": str(home.path),
        "member": thumbprint(card.key),
        "card": json.loads(format_card(card)),
        "trust": None,
        "service": None,
    }
    lines = [f"{card.name}: {found['member']}", f"keys in {home.path}"]
    if (home.path / "trust.json").exists():
        trust = home.trust()
        found["trust"] = {"origin": trust.origin, "sha256": trust.sha256.hex(), "genesis": trust.genesis.hex()}
        lines.append(f"trusts {trust.origin}, trust file SHA-256 {trust.sha256.hex()}")
    if (home.path / "settings.json").exists():
        service = home.settings().service
        found["service"] = service
        lines.append(f"service {service if isinstance(service, str) else ', '.join(service)}")
    assert format_json(found["card"])  # noqa: S101 - it was read from canonical text
    show(args, found, lines)
    return 0


def _trust(args: argparse.Namespace) -> bytes:
    from app.client.files import read_file  # noqa: PLC0415
    from app.statements.trust import MAX_TRUST_BYTES, parse_trust  # noqa: PLC0415

    data = read_file(args.trust, "the trust file", most=MAX_TRUST_BYTES)
    parse_trust(data)
    return data


def _set(args: argparse.Namespace) -> None:
    from app.client.addresses import checked_service  # noqa: PLC0415
    from app.client.home import Settings  # noqa: PLC0415

    home = home_of()
    if args.trust is not None:
        trust = home.set_trust(_trust(args))
        note(f"the trust file's SHA-256 is {trust.sha256.hex()}: compare it with the gazette's")
    if args.service is not None:
        home.set_settings(Settings(service=checked_service(args.service)))
