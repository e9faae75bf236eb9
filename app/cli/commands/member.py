"""`muniment member`: who belongs to the registry: enrol, approve, revoke, list."""

import argparse
import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, show
from app.cli.person import confirm, connected, digest_of, member_of

if TYPE_CHECKING:
    from app.client.session import Receipt

ROLES = ("registrar", "clerk", "judge", "depositor", "party", "auditor")
ACT_VALID_SECONDS = 30 * 86_400
MAX_ROOTS_BYTES = 1 << 20


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "member", help="enrol, approve, revoke and list members", description="Enrol, approve, revoke and list members."
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    enrol = actions.add_parser(
        "enrol", help="enrol a person by his card (registrar)", description="Enrol a person by his card (registrar)."
    )
    enrol.add_argument("card", metavar="CARD", type=Path, help="his identity.json")
    enrol.add_argument(
        "--role", choices=ROLES, required=True, help="what he is to be; offices need the authority's approval"
    )
    add_json(enrol)
    enrol.set_defaults(run=lambda args: asyncio.run(run_enrol(args)))

    approve = actions.add_parser(
        "approve",
        help="approve an act with a key of the authority",
        description="Approve an act with a key of the authority.",
    )
    approve.add_argument(
        "act", metavar="ACT", type=digest_of, help="the act's digest, as `muniment member waiting` lists it"
    )
    approve.add_argument("--key", type=Path, help="the authority's key file (default: the key of your own identity)")
    approve.add_argument("--yes", action="store_true", help="do not ask whether this is to be approved")
    add_json(approve)
    approve.set_defaults(run=lambda args: asyncio.run(run_approve(args)))

    revoke = actions.add_parser(
        "revoke", help="revoke a member (registrar)", description="Revoke a member (registrar)."
    )
    revoke.add_argument("member", metavar="MEMBER", help="his id or name")
    add_json(revoke)
    revoke.set_defaults(run=lambda args: asyncio.run(run_revoke(args)))

    key = actions.add_parser(
        "key",
        help="replace a member's keys: your own, or as a registrar those of somebody who lost his",
        description="Replace a member's keys by those of a new card. You do it for yourself while you have your old "
        "key; a registrar does it for somebody who lost his, after he saw who hands him the card. The old key is "
        "retired for good, the member stays the same one. An office waits for the authority. Orders that name the old "
        "key are of no use to the new one: the court makes them anew.",
    )
    key.add_argument("card", metavar="CARD", type=Path, help="the new identity.json")
    key.add_argument("--member", metavar="MEMBER", help="whose keys, by id or name (default: your own)")
    add_json(key)
    key.set_defaults(run=lambda args: asyncio.run(run_key(args)))

    device = actions.add_parser(
        "device",
        help="name a second device of yours, or retire one",
        description="Name a second device of yours: make keys there with `muniment identity new`, and bring its "
        "identity.json here. It signs for you and reads what you read from then on; it cannot ask for evidence, replace"
        " your key or name devices. With --retire: retire one, for yourself or as a registrar.",
    )
    device.add_argument("card", metavar="CARD", type=Path, nargs="?", help="the device's identity.json")
    device.add_argument("--retire", metavar="KEY", help="the thumbprint of the key of a device to retire")
    device.add_argument("--member", metavar="MEMBER", help="with --retire: whose device, by id or name (a registrar)")
    add_json(device)
    device.set_defaults(run=lambda args: asyncio.run(run_device(args)))

    identify = actions.add_parser(
        "identify",
        help="bind a member's X.509 certificate to his key (registrar)",
        description="Bind a member's X.509 certificate to his key (registrar): the file of `muniment identity bind` is "
        "checked, its chain under your roots, and what the authorities say of revocation is fetched and recorded.",
    )
    identify.add_argument("file", metavar="FILE", type=Path, help="what `muniment identity bind` wrote")
    identify.add_argument("--roots", type=Path, required=True, help="PEM: the roots that the court accepts for people")
    add_json(identify)
    identify.set_defaults(run=lambda args: asyncio.run(run_identify(args)))

    identity = actions.add_parser(
        "identity",
        help="show the certificate that was bound to a member's key; with --roots, judge it again",
        description="Show the X.509 certificate that a registrar bound to a member's key. With --roots its chain and "
        "the recorded evidence of revocation are judged again under your own roots, at the time when it was entered; "
        "no network is needed for that.",
    )
    identity.add_argument("member", metavar="MEMBER", help="his id or name")
    identity.add_argument("--roots", type=Path, help="PEM: the roots that you accept for people")
    add_json(identity)
    identity.set_defaults(run=lambda args: asyncio.run(run_identity(args)))

    waiting = actions.add_parser(
        "waiting",
        help="list the acts that wait for the authority's approval",
        description="List the acts that wait for the authority's approval.",
    )
    add_json(waiting)
    waiting.set_defaults(run=lambda args: asyncio.run(run_waiting(args)))

    listed = actions.add_parser(
        "list", help="list the members that you can see", description="List the members that you can see."
    )
    add_json(listed)
    listed.set_defaults(run=lambda args: asyncio.run(run_list(args)))


async def run_enrol(args: argparse.Namespace) -> int:
    """Enrol a person."""
    from app.client.files import read_file  # noqa: PLC0415
    from app.client.home import parse_card  # noqa: PLC0415
    from app.statements.keys import thumbprint  # noqa: PLC0415
    from app.statements.kinds import MemberEnrol  # noqa: PLC0415

    card = parse_card(read_file(args.card, "the identity card", most=16_384))
    async with connected() as client:
        claims = MemberEnrol(key=card.key, notes=card.notes, role=args.role, name=card.name)
        receipt = await client.post(claims, valid_seconds=ACT_VALID_SECONDS)
    _show_act(args, receipt, f"{card.name} ({thumbprint(card.key)}) as {args.role}", member=thumbprint(card.key))
    return 0


async def run_approve(args: argparse.Namespace) -> int:
    """Approve an act."""
    from app.client.authority import load_authority_key  # noqa: PLC0415
    from app.client.home import read_passphrase  # noqa: PLC0415
    from app.client.registrar import approve  # noqa: PLC0415
    from app.rules.aggregates import PendingAct  # noqa: PLC0415

    async with connected() as client:
        seed = client.keys.seed
        if args.key is not None:
            seed = load_authority_key(args.key, read_passphrase("Passphrase of the authority's key: "))
        statement, receipt = await approve(
            client, args.act, seed, lambda lines: confirm(lines, ask=not args.yes and not args.json)
        )
        state = await client.confirm(receipt)
    act = state.view.find(PendingAct, args.act.hex())
    given, effective = (len(act.approvals), act.effective) if act is not None else (0, False)
    needed = client.trust.authority.m
    show(
        args,
        {
            "act": args.act.hex(),
            "kind": statement.kind,
            "index": receipt.index,
            "approvals": given,
            "needed": needed,
            "effective": effective,
        },
        [f"{statement.kind} {args.act.hex()}: {given} of {needed} approvals" + (", in effect" if effective else "")],
    )
    return 0


async def run_revoke(args: argparse.Namespace) -> int:
    """Revoke a member."""
    from app.statements.kinds import MemberRevoke  # noqa: PLC0415

    async with connected() as client:
        person = member_of((await client.sync()).view, args.member)
        claims = MemberRevoke(member=person.id, role=person.role)
        receipt = await client.post(claims, valid_seconds=ACT_VALID_SECONDS)
    _show_act(args, receipt, f"the revocation of {person.name} ({person.id}), {person.role}", member=person.id)
    return 0


async def run_key(args: argparse.Namespace) -> int:
    """Replace a member's keys."""
    from app.client.files import read_file  # noqa: PLC0415
    from app.client.hands import new_key  # noqa: PLC0415
    from app.client.home import parse_card  # noqa: PLC0415
    from app.statements.keys import thumbprint  # noqa: PLC0415
    from app.statements.kinds import OFFICES  # noqa: PLC0415

    card = parse_card(read_file(args.card, "the identity card", most=16_384))
    async with connected() as client:
        state = await client.sync()
        person = member_of(state.view, args.member) if args.member is not None else state.me
        own = person.id == state.me.id
        receipt = await new_key(client, person.id, card)
    waits = person.role in OFFICES and not own
    digest = receipt.statement.digest.hex()
    document = {
        "act": digest,
        "member": person.id,
        "key": thumbprint(card.key),
        "index": receipt.index,
        "waits_for_approval": waits,
    }
    tail = f"; it waits for the authority: muniment member approve {digest}" if waits else ""
    show(args, document, [f"{person.name} ({person.id}) has the key {document['key']}: entry {receipt.index}{tail}"])
    return 0


async def run_device(args: argparse.Namespace) -> int:
    """Name or retire a device."""
    from app.client.files import read_file  # noqa: PLC0415
    from app.client.hands import add_device, remove_device  # noqa: PLC0415
    from app.client.home import parse_card  # noqa: PLC0415
    from app.errors import BadInput  # noqa: PLC0415
    from app.statements.keys import thumbprint  # noqa: PLC0415

    if (args.card is None) == (args.retire is None) or (args.member is not None and args.retire is None):
        raise BadInput("name a card, or a key to retire", "muniment member device CARD | --retire KEY", code="usage")
    async with connected() as client:
        if args.card is not None:
            card = parse_card(read_file(args.card, "the identity card", most=16_384))
            key, receipt = thumbprint(card.key), await add_device(client, card)
        else:
            member = member_of((await client.sync()).view, args.member).id if args.member is not None else None
            key, receipt = args.retire, await remove_device(client, args.retire, member)
    what = "is a device of yours" if args.card is not None else "is retired"
    show(args, {"key": key, "index": receipt.index}, [f"the key {key} {what}: entry {receipt.index}"])
    return 0


async def run_identify(args: argparse.Namespace) -> int:
    """Bind a member's certificate."""
    from app.client.binding import read_certificates  # noqa: PLC0415
    from app.client.files import read_file  # noqa: PLC0415
    from app.client.identify import identify  # noqa: PLC0415
    from app.identities.bindingfile import MAX_BINDING_BYTES, parse_binding  # noqa: PLC0415

    binding = parse_binding(read_file(args.file, "the binding file", most=MAX_BINDING_BYTES))
    roots = read_certificates(read_file(args.roots, "the roots", most=MAX_ROOTS_BYTES), str(args.roots))
    async with connected() as client:
        done = await identify(client, binding, roots)
    person, chain = done.person, done.chain
    show(
        args,
        {
            "member": person.id,
            "name": person.name,
            "subject": chain.subject,
            "issuer": chain.issuer,
            "root": chain.root,
            "sha256": chain.sha256.hex(),
            "not_after": chain.not_after,
            "act": done.receipt.statement.digest.hex(),
            "index": done.receipt.index,
        },
        [
            f"{person.name} ({person.id}) is bound to {chain.subject}",
            f"issued by {chain.issuer}, under the root {chain.root}",
            f"good and not revoked now; the binding ends with his key, at the latest {_day(chain.not_after)}",
            f"entry {done.receipt.index}",
        ],
    )
    return 0


async def run_identity(args: argparse.Namespace) -> int:
    """Show and judge a binding."""
    from app.client.binding import read_certificates  # noqa: PLC0415
    from app.client.files import read_file  # noqa: PLC0415
    from app.client.identify import binding_or_refuse, check_again  # noqa: PLC0415
    from app.rules.identities import binding_of  # noqa: PLC0415

    roots = None
    if args.roots is not None:
        roots = read_certificates(read_file(args.roots, "the roots", most=MAX_ROOTS_BYTES), str(args.roots))
    async with connected() as client:
        view = (await client.sync()).view
        person = member_of(view, args.member)
        found = binding_or_refuse(view, person.id)
        if roots is not None:
            await check_again(client, person.id, roots)
        standing = binding_of(view, person, client.clock()) is not None
    show(
        args,
        {
            "member": person.id,
            "name": person.name,
            "subject": found.subject,
            "issuer": found.issuer,
            "root": found.root,
            "sha256": found.certificate.hex(),
            "not_after": found.not_after,
            "index": found.index,
            "in_force": standing,
            "judged": roots is not None,
        },
        [
            f"{person.name} ({person.id}) was bound to {found.subject} (entry {found.index})",
            f"issued by {found.issuer}, under the root {found.root}",
            f"in force, at the latest until {_day(found.not_after)}"
            if standing
            else f"not in force: his key changed, he left, or a certificate ended ({_day(found.not_after)})",
            "under your roots, and not revoked by the evidence recorded then"
            if roots is not None
            else "that the root is to be trusted is the registrar's word; judge it yourself with --roots",
        ],
    )
    return 0


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


async def run_waiting(args: argparse.Namespace) -> int:
    """List the acts that wait."""
    from app.client.acts import describe_act  # noqa: PLC0415
    from app.rules.aggregates import PendingAct  # noqa: PLC0415
    from app.statements.statement import parse_statement  # noqa: PLC0415

    async with connected() as client:
        state = await client.sync()
    acts = [each for each in state.view.aggregates.values() if isinstance(each, PendingAct) and not each.effective]
    rows: list[dict[str, Any]] = []
    for each in acts:
        statement = parse_statement(each.statement)
        rows.append(
            {
                "act": each.id,
                "kind": statement.kind,
                "what": getattr(statement.claims, "name", "") or getattr(statement.claims, "member", ""),
                "role": getattr(statement.claims, "role", ""),
                "approvals": list(each.approvals),
                "expires": statement.envelope.exp,
                "does": list(describe_act(state.view, statement)),
            }
        )
    lines = []
    for row in rows:
        lines.append(f"{row['act']}  {row['kind']}  {len(row['approvals'])} approvals")
        lines += [f"  {line}" for line in row["does"]]
    show(args, {"waiting": rows}, lines or ["nothing waits"])
    return 0


async def run_list(args: argparse.Namespace) -> int:
    """List members."""
    from app.rules.aggregates import Person  # noqa: PLC0415
    from app.rules.identities import binding_of  # noqa: PLC0415

    async with connected() as client:
        state, now = await client.sync(), client.clock()
    people = sorted(
        (each for each in state.view.aggregates.values() if isinstance(each, Person)), key=lambda each: each.index
    )
    rows, lines = [], []
    for p in people:
        bound = binding_of(state.view, p, now)
        rows.append(
            {
                "member": p.id,
                "role": p.role,
                "name": p.name,
                "active": p.active,
                "index": p.index,
                "identity": None if bound is None else {"subject": bound.subject, "issuer": bound.issuer},
            }
        )
        lines.append(f"{p.id}  {p.role:9}  {p.name}{'' if p.active else '  (revoked)'}")
        if bound is not None:
            lines.append(f"{'':43}  certificate of {bound.subject}, by {bound.issuer}")
    show(args, {"members": rows}, lines)
    return 0


def _show_act(args: argparse.Namespace, receipt: "Receipt", what: str, *, member: str) -> None:
    from app.statements.kinds import OFFICES  # noqa: PLC0415

    waits = getattr(receipt.statement.claims, "role", "") in OFFICES
    digest = receipt.statement.digest.hex()
    tail = f"; it waits for the authority: muniment member approve {digest}" if waits else ""
    show(
        args,
        {"act": digest, "member": member, "index": receipt.index, "waits_for_approval": waits},
        [f"{what}: entry {receipt.index}{tail}"],
    )
