"""A certification authority on loopback, for demonstration and tests: OCSP, revocation lists, time-stamp authorities.

Nothing in it is protected: its keys are made anew in memory and end with the process. Use it so:

    async with serving_pki() as pki:                 # a free port of 127.0.0.1; now = the system's clock
        pki.root                                     # x509.Certificate, the one trust anchor
        pki.tsas[0].url, pki.tsas[0].name            # POST a time-stamp query there; the name is the certificate's CN
        seal = pki.issue("Seal of the Court", profile=Profile.SEAL)    # .key, .certificate, .chain (without the root)
        pki.revoke(seal.certificate)                 # from now on OCSP and the revocation list say so

The root issues the time-stamp authorities and the issuing authority; that one issues seals, persons and its OCSP
responder. Certificates name their revocation list, and those of the issuing authority its OCSP responder too, with real
addresses, so that pyHanko, openssl and others reach them. `Tsa.behaviour` lets one authority misbehave (tests);
`pki.faults` takes paths (`/ocsp`, `/tsa/1`, `/crl/root.crl`) that answer 503, `pki.stalled` paths that never answer.
EC P-256, SHA-256.
Sources: RFC 3161, 5280, 5652, 5816, 6960.
"""

import asyncio
import datetime
import hashlib
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from aiohttp import web
from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

MAX_QUERY_BYTES = 16_384
CRL_DAYS, OCSP_DAYS = 90, 7
_POLICY = "1.3.6.1.4.1.99999.1.1"
_REJECTION = bytes.fromhex("30053003020102")
_GRANTED = bytes.fromhex("3003020100")
_HASHES = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}


class Profile(StrEnum):
    """What a certificate is for."""

    CA = "ca"
    TSA = "tsa"
    OCSP = "ocsp"
    SEAL = "seal"
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A key with its certificate and the authorities above it, without the root."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        """The certificate's DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def key_pem(self) -> bytes:
        """The key as unencrypted PKCS#8 PEM."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def certificates_pem(self) -> bytes:
        """The certificate and its chain as PEM."""
        return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (self.certificate, *self.chain))


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What one token says, before it is signed; `Tsa.behaviour` may return another."""

    algorithm: str
    """Hash of the imprint: sha256, sha384, sha512."""
    imprint: bytes
    nonce: int | None
    gen_time: datetime.datetime
    accuracy_ms: int | None = 500
    certificates: tuple[bytes, ...] = ()
    """DER to embed; the signing certificate by default."""


Behaviour = Callable[[Token], Token | bytes]
"""Changes what is signed, or gives the whole answer's bytes."""


@dataclass(slots=True, kw_only=True)
class Tsa:
    """One time-stamp authority."""

    name: str
    url: str
    issued: Issued
    behaviour: Behaviour = field(default=lambda token: token)

    def answer(self, query: bytes, now: datetime.datetime) -> bytes:
        """Return the DER of a TimeStampResp; a rejection for what is no query."""
        try:
            asked = tsp.TimeStampReq.load(query, strict=True)
            imprint = asked["message_imprint"]
            algorithm, digest = imprint["hash_algorithm"]["algorithm"].native, imprint["hashed_message"].native
            nonce = asked["nonce"].native
        except ValueError:
            return _REJECTION
        if _HASHES.get(algorithm) != len(digest):
            return _REJECTION
        made = self.behaviour(
            Token(algorithm=algorithm, imprint=digest, nonce=nonce, gen_time=now, certificates=(self.issued.der,))
        )
        return made if isinstance(made, bytes) else respond(make_token(made, self.issued))


def respond(token: bytes) -> bytes:
    """Return the DER of a granted TimeStampResp around a token."""
    body = _GRANTED + token
    return b"\x30" + _length(len(body)) + body


def make_token(token: Token, issued: Issued) -> bytes:
    """Sign a token: the DER of a ContentInfo with SignedData over a TSTInfo (RFC 3161 §2.4.2, RFC 5816)."""
    info: dict[str, object] = {
        "version": "v1",
        "policy": _POLICY,
        "message_imprint": {
            "hash_algorithm": {"algorithm": token.algorithm},
            "hashed_message": token.imprint,
        },
        "serial_number": secrets.randbits(63),
        "gen_time": token.gen_time,
    }
    if token.accuracy_ms is not None:
        seconds, millis = divmod(token.accuracy_ms, 1000)
        accuracy = {}
        if seconds:
            accuracy["seconds"] = seconds
        if millis:
            accuracy["millis"] = millis
        info["accuracy"] = accuracy
    if token.nonce is not None:
        info["nonce"] = token.nonce
    content = tsp.TSTInfo(info).dump()
    certificate = asn1_x509.Certificate.load(issued.der)
    attributes = cms.CMSAttributes(
        [
            {"type": "content_type", "values": ["tst_info"]},
            {"type": "message_digest", "values": [hashlib.sha256(content).digest()]},
            {
                "type": "signing_certificate_v2",
                "values": [{"certs": [{"cert_hash": hashlib.sha256(issued.der).digest()}]}],
            },
        ]
    )
    signer = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                name="issuer_and_serial_number",
                value=cms.IssuerAndSerialNumber(
                    {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
                ),
            ),
            "digest_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}),
            "signed_attrs": attributes,
            "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}),
            "signature": issued.key.sign(attributes.untag().dump(), ec.ECDSA(hashes.SHA256())),
        }
    )
    signed = cms.SignedData(
        {
            "version": "v3",
            "digest_algorithms": [algos.DigestAlgorithm({"algorithm": "sha256"})],
            "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(content)},
            "certificates": [asn1_x509.Certificate.load(each) for each in token.certificates],
            "signer_infos": [signer],
        }
    )
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump())


class LoopbackPki:
    """The authorities, in memory; `application` is their HTTP face under `base`."""

    def __init__(
        self, base: str, *, tsas: int = 2, clock: Callable[[], float] = time.time, names: str = "Demo"
    ) -> None:
        """`base` is the URL that certificates name, such as http://127.0.0.1:3000; `clock` gives Unix seconds."""
        self.base, self._clock, self._names = base.rstrip("/"), clock, names
        self.faults: set[str] = set()
        self.stalled: set[str] = set()
        self.asked: list[str] = []
        """Paths that were asked for, in order."""
        self._revoked: dict[int, datetime.datetime] = {}
        self._issuer_of: dict[int, str] = {}
        self._begin = self.now() - datetime.timedelta(days=1)
        self._founded = self._begin - datetime.timedelta(days=3650)
        self._root = self._make_root()
        self._issuing = self._issue(
            f"{names} Issuing CA", Profile.CA, self._root, "root", days=10_950, begin=self._founded
        )
        self._responder = self._issue(f"{names} OCSP", Profile.OCSP, self._issuing, "issuing", days=3650)
        self.tsas = tuple(self._make_tsa(number) for number in range(1, tsas + 1))

    @property
    def root(self) -> x509.Certificate:
        """The trust anchor of everything here."""
        return self._root.certificate

    @property
    def root_der(self) -> bytes:
        """Its DER."""
        return self._root.der

    def now(self) -> datetime.datetime:
        """The time by the authorities' clock."""
        return datetime.datetime.fromtimestamp(self._clock(), datetime.UTC)

    def issue(
        self,
        common_name: str,
        *,
        profile: Profile = Profile.SEAL,
        organization_id: str | None = None,
        days: int = 3650,
        begin: datetime.datetime | None = None,
    ) -> Issued:
        """Issue a certificate: seals and persons under the issuing authority, time-stamp authorities under the root."""
        above, issuer = (self._root, "root") if profile is Profile.TSA else (self._issuing, "issuing")
        return self._issue(common_name, profile, above, issuer, days=days, begin=begin, organization_id=organization_id)

    def revoke(self, certificate: x509.Certificate) -> None:
        """Revoke it, from now on."""
        self._revoked[certificate.serial_number] = self.now()

    def crl(self, issuer: str) -> bytes:
        """The revocation list of `root` or `issuing`, DER, fresh."""
        signer, now = self._root if issuer == "root" else self._issuing, self.now()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(signer.certificate.subject)
            .last_update(now)
            .next_update(now + datetime.timedelta(days=CRL_DAYS))
            .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
            .add_extension(_authority_key(signer), critical=False)
        )
        for serial, when in self._revoked.items():
            if self._issuer_of.get(serial) == issuer:
                builder = builder.add_revoked_certificate(
                    x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when).build()
                )
        return builder.sign(signer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def ocsp(self, query: bytes) -> bytes:
        """Answer an OCSP request about the issuing authority's certificates. Raises ValueError for what is none."""
        asked, now = ocsp.load_der_ocsp_request(query), self.now()
        known = self._issuer_of.get(asked.serial_number) == "issuing"
        revoked = self._revoked.get(asked.serial_number)
        if not known:
            return ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED).public_bytes(
                serialization.Encoding.DER
            )
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response_by_hash(
                issuer_name_hash=asked.issuer_name_hash,
                issuer_key_hash=asked.issuer_key_hash,
                serial_number=asked.serial_number,
                algorithm=asked.hash_algorithm,
                cert_status=ocsp.OCSPCertStatus.GOOD if revoked is None else ocsp.OCSPCertStatus.REVOKED,
                this_update=now,
                next_update=now + datetime.timedelta(days=OCSP_DAYS),
                revocation_time=revoked,
                revocation_reason=None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, self._responder.certificate)
            .certificates([self._responder.certificate])
        )
        for each in asked.extensions:
            if isinstance(each.value, x509.OCSPNonce):
                builder = builder.add_extension(each.value, critical=False)
        return builder.sign(self._responder.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def application(self) -> web.Application:
        """Routes: POST /tsa/N, POST /ocsp, GET /crl/{root,issuing}.crl, GET /ca/{root,issuing}.crt."""

        @web.middleware
        async def watched(request: web.Request, handler: Callable[[web.Request], object]) -> web.StreamResponse:
            self.asked.append(request.path)
            if request.path in self.faults:
                raise web.HTTPServiceUnavailable
            if request.path in self.stalled:
                await asyncio.Event().wait()
            answer = await handler(request)  # type: ignore[misc]
            assert isinstance(answer, web.StreamResponse)  # noqa: S101
            return answer

        async def stamp(request: web.Request) -> web.Response:
            number = request.match_info["number"]
            found = next((each for each in self.tsas if each.url.endswith(f"/tsa/{number}")), None)
            if found is None:
                raise web.HTTPNotFound
            return web.Response(
                body=found.answer(await request.read(), self.now()), content_type="application/timestamp-reply"
            )

        async def status(request: web.Request) -> web.Response:
            try:
                return web.Response(body=self.ocsp(await request.read()), content_type="application/ocsp-response")
            except ValueError as error:
                raise web.HTTPBadRequest from error

        async def crl(request: web.Request) -> web.Response:
            return web.Response(body=self.crl(request.match_info["issuer"]), content_type="application/pkix-crl")

        async def ca(request: web.Request) -> web.Response:
            found = self._root if request.match_info["issuer"] == "root" else self._issuing
            return web.Response(body=found.der, content_type="application/pkix-cert")

        application = web.Application(client_max_size=MAX_QUERY_BYTES, middlewares=[watched])
        application.router.add_post("/tsa/{number}", stamp)
        application.router.add_post("/ocsp", status)
        application.router.add_get("/crl/{issuer:root|issuing}.crl", crl)
        application.router.add_get("/ca/{issuer:root|issuing}.crt", ca)
        return application

    def _make_root(self) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"{self._names} Root CA", None)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._founded)
            .not_valid_after(self._founded + datetime.timedelta(days=14_600))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return Issued(key=key, certificate=builder.sign(key, hashes.SHA256()))

    def _make_tsa(self, number: int) -> Tsa:
        name = f"{self._names} TSA {number}"
        return Tsa(name=name, url=f"{self.base}/tsa/{number}", issued=self.issue(name, profile=Profile.TSA))

    def _issue(
        self,
        common_name: str,
        profile: Profile,
        above: Issued,
        issuer: str,
        *,
        days: int,
        begin: datetime.datetime | None = None,
        organization_id: str | None = None,
    ) -> Issued:
        key, serial = ec.generate_private_key(ec.SECP256R1()), x509.random_serial_number()
        begin = begin or self._begin
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common_name, organization_id))
            .issuer_name(above.certificate.subject)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(begin)
            .not_valid_after(begin + datetime.timedelta(days=days))
            .add_extension(
                x509.BasicConstraints(ca=profile is Profile.CA, path_length=0 if profile is Profile.CA else None),
                critical=True,
            )
            .add_extension(_usage(ca=profile is Profile.CA, seal=profile in _SIGNING), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_authority_key(above), critical=False)
        )
        if profile in _PURPOSES:
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([_PURPOSES[profile]]), critical=profile is Profile.TSA
            )
        if profile is Profile.OCSP:
            builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
        else:
            point = x509.DistributionPoint(
                [x509.UniformResourceIdentifier(f"{self.base}/crl/{issuer}.crl")], None, None, None
            )
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        if issuer == "issuing" and profile is not Profile.OCSP:
            places = [(AuthorityInformationAccessOID.OCSP, "/ocsp"), (_CA_ISSUERS, "/ca/issuing.crt")]
            access = [
                x509.AccessDescription(kind, x509.UniformResourceIdentifier(self.base + path)) for kind, path in places
            ]
            builder = builder.add_extension(x509.AuthorityInformationAccess(access), critical=False)
        self._issuer_of[serial] = issuer
        chain = () if issuer == "root" else (above.certificate,)
        return Issued(key=key, certificate=builder.sign(above.key, hashes.SHA256()), chain=chain)


@asynccontextmanager
async def serving_pki(
    *, tsas: int = 2, clock: Callable[[], float] = time.time, names: str = "Demo", port: int = 0
) -> AsyncIterator[LoopbackPki]:
    """Serve a new authority on a port of 127.0.0.1 (a free one by default) until the block ends."""
    listening = socket.create_server(("127.0.0.1", port))
    pki = LoopbackPki(f"http://127.0.0.1:{listening.getsockname()[1]}", tsas=tsas, clock=clock, names=names)
    runner = web.AppRunner(pki.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield pki
    finally:
        await runner.cleanup()


_CA_ISSUERS = AuthorityInformationAccessOID.CA_ISSUERS
_SIGNING = (Profile.SEAL, Profile.PERSON)
_PURPOSES = {Profile.TSA: ExtendedKeyUsageOID.TIME_STAMPING, Profile.OCSP: ExtendedKeyUsageOID.OCSP_SIGNING}


def _name(common_name: str, organization_id: str | None) -> x509.Name:
    parts = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "ZZ"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Demonstration, worth nothing"),
    ]
    if organization_id is not None:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, organization_id))
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, ca: bool, seal: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=seal,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(above: Issued) -> x509.AuthorityKeyIdentifier:
    subject = above.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject.value)


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(digits)]) + digits
