"""The adapter of SPEC section 11: each op of vectors.json in terms of app.panels. Inputs and outputs are plain JSON."""

from collections.abc import Callable
from typing import Any

from app.panels import ack as acks
from app.panels import blame as blames
from app.panels import capsule, card, certificate, closing, contribution, deal, header, opening, record, request, sigma
from app.panels.chain import Link, verify_chain, visit_check
from app.panels.group import Element, dec_elem, dec_scalar, lagrange0
from app.panels.hashing import H2G, H2S, H32, expand_message_xmd
from app.panels.making import ack as making_ack
from app.panels.making import blame as making_blame
from app.panels.making import capsule as making_capsule
from app.panels.making import card as making_card
from app.panels.making import contribution as making_contribution
from app.panels.making import deal as making_deal
from app.panels.making import opening as making_opening
from app.panels.making import proof as making_proof
from app.panels.making import request as making_request
from app.panels.session import Session, verify_session
from tests.app.panels.ledger_steps import run_steps

Json = dict[str, Any]
h = bytes.fromhex


def resolve(value: Any, defs: Json) -> Any:
    """Every "$name" replaced by defs[name]."""
    if isinstance(value, str) and value.startswith("$"):
        return resolve(defs[value[1:]], defs)
    if isinstance(value, list):
        return [resolve(item, defs) for item in value]
    if isinstance(value, dict):
        return {key: resolve(item, defs) for key, item in value.items()}
    return value


def run(op: str, inputs: Json) -> Json:
    """The named outputs of one case, or PanelError."""
    return _OPS[op](inputs)


def _hexed(value: Any) -> Json:
    return {"out": bytes(value).hex()}


def _parts(d: Json) -> list[bytes]:
    return [h(part) for part in d["parts"]]


def _rows(d: Json) -> list[list[Element | None]]:
    return [[None if cell is None else dec_elem(h(cell)) for cell in row] for row in d["rows"]]


def _sigma_prove(d: Json) -> Json:
    rows, secrets = _rows(d), [dec_scalar(h(x)) for x in d["secrets"]]
    points = [sigma.combine(row, secrets) for row in rows]
    statement = sigma.Statement(d["tag"], rows, points, [h(part) for part in d["ctx"]])
    proof = making_proof.prove(statement, secrets, h(d["rnd"]))
    return {"points": [bytes(point).hex() for point in points], "proof": proof.hex()}


def _sigma_verify(d: Json) -> Json:
    rows = _rows(d)
    points = [dec_elem(h(point)) for point in d["points"]]
    statement = sigma.Statement(d["tag"], rows, points, [h(part) for part in d["ctx"]])
    sigma.check_proof(statement, sigma.decode_proof(h(d["proof"]), len(rows[0])))
    return {}


def _label(d: Json, Y: bytes | None = None) -> bytes:
    return capsule.label(h(d["Y"]) if Y is None else Y, h(d["deposit_id"]), h(d["case_id"]), h(d["manifest_hash"]))


def _release(d: Json) -> request.Release:
    epoch = record.parse_record(h(d["record"]))
    return request.begin_release(epoch, _label(d, bytes(epoch.Y)), h(d["public"]), h(d["request"]))


def _contributions(d: Json) -> list[bytes]:
    return [h(one) for one in d["contributions"]]


def _contribute(d: Json) -> Json:
    made = making_contribution.contribute(
        _release(d),
        index=d["i"],
        x=h(d["x"]),
        requester=h(d["requester"]),
        order_hash=h(d["order_hash"]),
        rnd=h(d["rnd"]),
    )
    return {"contribution": made.hex()}


def _open(d: Json) -> Json:
    given = h(d["aggregate"]) if "aggregate" in d else None
    key = making_opening.open_capsule(
        _release(d), _contributions(d), sk=h(d["sk"]), box=h(d["box"]), given_aggregate=given
    )
    return {"file_key": key.hex()}


def _verify_opening(d: Json) -> Json:
    opened = opening.verify_opening(_release(d), _contributions(d), h(d["opening"]), h(d["box"]))
    return {"verdict": opened.verdict, "file_key": opened.file_key.hex()}


def _make_request(d: Json) -> Json:
    names = ("epoch_id", "ct_hash", "order_hash", "requester_seed", "sk", "rnd")
    return {"request": making_request.make_request(**{name: h(d[name]) for name in names}).hex()}


def _make_card(d: Json) -> Json:
    made = making_card.make_card(
        panel_id=h(d["panel_id"]), epoch=d["epoch"], host_seed=h(d["host_seed"]), he=h(d["he"]), rnd=h(d["rnd"])
    )
    return {"card": made.hex()}


def _verify_card(d: Json) -> Json:
    checked = card.verify_card(h(d["card"]), h(d["panel_id"]), d["epoch"])
    return {"host": checked.host.hex(), "HE": bytes(checked.HE).hex()}


def _make_header(d: Json) -> Json:
    made = header.make_header(
        kind=d["kind"],
        panel_id=h(d["panel_id"]),
        epoch=d["epoch"],
        k=d["k"],
        n=d["n"],
        nonce=h(d["nonce"]),
        prev_epoch_id=h(d["prev_epoch_id"]),
        barred=d["barred"],
        cards=[h(one) for one in d["cards"]],
    )
    return {"header": made.hex()}


def _verify_header(d: Json) -> Json:
    checked = header.verify_header(h(d["header"]))
    return {"session": checked.session.hex(), "roster_hash": checked.roster_hash.hex()}


def _links(d: Json) -> tuple[list[Link], list[bytes]]:
    links = [
        Link(header=h(link["header"]), deals=tuple(h(one) for one in link["deals"]), certificate=h(link["cert"]))
        for link in d["links"]
    ]
    return links, [h(one) for one in d["approved"]]


def _verify_chain(d: Json) -> Json:
    epoch = verify_chain(*_links(d))
    return {"epoch_id": epoch.epoch_id.hex(), "Y": bytes(epoch.Y).hex()}


def _session(d: Json) -> Session:
    if "lineage" in d:
        return visit_check(*_links(d["lineage"]), h(d["header"]))
    return verify_session(h(d["header"]), h(d.get("prev_record", "")), h(d.get("prev_header", "")))


def _verify_session(d: Json) -> Json:
    session = _session(d)
    return {"session": session.session.hex(), "deals_needed": session.deals_needed}


def _make_deal(d: Json) -> Json:
    made = making_deal.make_deal(
        _session(d), dealer=d["i"], host_seed=h(d["host_seed"]), secret=h(d["secret"]), seed=h(d["seed"])
    )
    return {"deal": made.hex()}


def _verify_deal(d: Json) -> Json:
    checked = deal.verify_deal(_session(d), h(d["deal"]))
    return {"dealer": checked.dealer, "deal_hash": checked.deal_hash.hex()}


def _closed(d: Json) -> closing.ClosedDeals:
    return closing.close_deals(_session(d), [h(one) for one in d["deals"]])


def _close_deals(d: Json) -> Json:
    closed = _closed(d)
    parsed = record.parse_record(closed.record.encoded)
    assert parsed == closed.record
    return {"eta": closed.eta.hex(), "record": parsed.encoded.hex(), "epoch_id": parsed.epoch_id.hex()}


def _make_ack(d: Json) -> Json:
    made = making_ack.make_ack(
        _closed(d),
        judge=d["j"],
        he=h(d["he"]),
        host_seed=h(d["host_seed"]),
        own_deal_hash=h(d["own_deal_hash"]) if "own_deal_hash" in d else None,
        acked=[
            making_ack.Acked(session=h(one["session"]), eta=h(one["eta"]), end=one["end"]) for one in d.get("acked", [])
        ],
    )
    return {"ack": made.hex()}


def _verify_ack(d: Json) -> Json:
    closed = _closed(d)
    return {"j": acks.verify_ack(closed.session, closed.eta, h(d["ack"])).judge}


def _make_blame(d: Json) -> Json:
    made = making_blame.make_blame(
        _closed(d),
        dealer=d["dealer"],
        judge=d["j"],
        he=h(d["he"]),
        host_seed=h(d["host_seed"]),
        rnd=h(d["rnd"]),
        upheld=d.get("upheld", []),
    )
    return {"blame": made.hex()}


def _verify_blame(d: Json) -> Json:
    closed = _closed(d)
    upheld = blames.verify_blame(closed.session, closed.deals, h(d["blame"]))
    return {"accuser": upheld.accuser, "dealer": upheld.dealer}


_OPS: dict[str, Callable[[Json], Json]] = {
    "expand_message_xmd": lambda d: _hexed(expand_message_xmd(h(d["msg"]), h(d["dst"]), d["len"])),
    "H2S": lambda d: _hexed(H2S(d["tag"], *_parts(d))),
    "H2G": lambda d: _hexed(H2G(d["tag"], *_parts(d))),
    "H32": lambda d: _hexed(H32(d["tag"], *_parts(d))),
    "dec_elem": lambda d: _hexed(dec_elem(h(d["b"]))),
    "dec_scalar": lambda d: _hexed(dec_scalar(h(d["b"]), zero_allowed=d["zero_ok"])),
    "add": lambda d: _hexed(dec_elem(h(d["a"])) + dec_elem(h(d["b"]))),
    "sub": lambda d: _hexed(dec_elem(h(d["a"])) - dec_elem(h(d["b"]))),
    "mul": lambda d: _hexed(dec_scalar(h(d["s"])) * dec_elem(h(d["p"]))),
    "lagrange0": lambda d: _hexed(lagrange0(d["indices"], d["i"])),
    "gbar": lambda _: _hexed(capsule.GBAR),
    "sigma_prove": _sigma_prove,
    "sigma_verify": _sigma_verify,
    "label": lambda d: {"label": _label(d).hex()},
    "encrypt": lambda d: {
        "ciphertext": making_capsule.encrypt(h(d["Y"]), _label(d), h(d["file_key"]), h(d["rnd"])).hex()
    },
    "public_part": lambda d: {"public": capsule.public_part(h(d["ciphertext"])).hex()},
    "check_public": lambda d: {
        "ct_hash": capsule.check_public(h(d["Y"]), _label(d), h(d["public"])).ct_hash.hex(),
    },
    "admit": lambda d: {"ct_hash": capsule.admit(h(d["Y"]), _label(d), h(d["public"]), h(d["box"])).ct_hash.hex()},
    "request": _make_request,
    "verify_request": lambda d: {
        "request_hash": request.verify_request(h(d["request"]), h(d["epoch_id"]), h(d["ct_hash"])).req_hash.hex()
    },
    "contribute": _contribute,
    "verify_contribution": lambda d: {
        "i": contribution.verify_contribution(_release(d), h(d["contribution"])).index,
    },
    "aggregate": lambda d: {"aggregate": contribution.aggregate(_release(d), _contributions(d)).encoded.hex()},
    "open": _open,
    "opening": lambda d: {
        "opening": making_opening.make_opening(_release(d), _contributions(d), sk=h(d["sk"]), rnd=h(d["rnd"])).hex()
    },
    "verify_opening": _verify_opening,
    "card": _make_card,
    "verify_card": _verify_card,
    "header": _make_header,
    "verify_header": _verify_header,
    "verify_session": _verify_session,
    "verify_record": lambda d: {"epoch_id": record.parse_record(h(d["record"])).epoch_id.hex()},
    "deal": _make_deal,
    "verify_deal": _verify_deal,
    "verify_double_deal": lambda d: {
        "dealer": deal.verify_double_deal(_session(d), h(d["first"]), h(d["second"])),
    },
    "close_deals": _close_deals,
    "receive": lambda d: {"share": making_ack.receive(_closed(d), judge=d["j"], he=h(d["he"])).hex()},
    "ack": _make_ack,
    "verify_ack": _verify_ack,
    "cert": lambda d: {"cert": certificate.make_certificate(_closed(d), [h(one) for one in d["acks"]]).hex()},
    "verify_cert": lambda d: {"epoch_id": certificate.verify_certificate(_closed(d), h(d["cert"])).epoch_id.hex()},
    "recover": lambda d: {"share": making_ack.recover(_closed(d), h(d["cert"]), judge=d["j"], he=h(d["he"])).hex()},
    "verify_chain": _verify_chain,
    "blame": _make_blame,
    "verify_blame": _verify_blame,
    "ledger": run_steps,
}
