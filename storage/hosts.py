"""Places on a network: an S3 bucket and a MongoDB database, as URLs in one spelling and without credentials.

Hosts are lower-case names or literal addresses; ports are written only where they are not the scheme's own. Options of
a MongoDB place come from a closed list, in the order of that list: what decides durability (write concern, journal,
read concern) is set by the adapter and cannot be taken back in a URL. Messages never quote the URL.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from storage.errors import BadName

DEFAULT_REGION = "us-east-1"
MONGO_PORT = 27017
MONGO_OPTIONS = ("replicaSet", "directConnection", "tls", "tlsCAFile", "authSource", "authMechanism")
MOTOR_SCHEME = "mongodb+motor"

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:]{2,39}\])\Z")
_PORT = re.compile(r"[1-9][0-9]{0,4}\Z")
# S3: 3 to 63 of a-z, 0-9, '-', '.', beginning and ending with a letter or digit.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]*(?:\.[a-z0-9][a-z0-9-]*)*(?<!-)\Z")
_REGION = re.compile(r"[a-z0-9-]{1,32}\Z")
_DATABASE = re.compile(r"[a-zA-Z0-9_-]{1,38}\Z")
_S3 = re.compile(r"s3\+(https?)://([^/?#]*)/([^/?#]*)(?:\?region=([^&#]*))?\Z")
_MONGO = re.compile(r"(mongodb|mongodb\+motor)://([^/?#]*)/([^/?#]*)(?:\?([^#]*))?\Z")
_S3_REMEDY = "Write it as s3+https://host[:port]/bucket[?region=NAME], in lower case."
_MONGO_REMEDY = "Write it as mongodb://host[:port][,host[:port]…]/database[?replicaSet=NAME]."


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Place:
    """One bucket of an S3 server."""

    host: str
    port: int
    tls: bool
    bucket: str
    region: str = DEFAULT_REGION

    @property
    def endpoint(self) -> str:
        """Host and, where it is not the scheme's own, port: the Host header of every request."""
        return self.host if self.port == _s3_port(self.tls) else f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.endpoint}"

    @property
    def url(self) -> str:
        region = "" if self.region == DEFAULT_REGION else f"?region={self.region}"
        return f"s3+{self.origin}/{self.bucket}{region}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoPlace:
    """One database of a MongoDB deployment."""

    hosts: tuple[tuple[str, int], ...]
    database: str
    options: tuple[tuple[str, str], ...] = ()
    motor: bool = False

    @property
    def driver_url(self) -> str:
        """What the drivers take: always mongodb://, and no credentials."""
        hosts = ",".join(host if port == MONGO_PORT else f"{host}:{port}" for host, port in self.hosts)
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in self.options)
        return f"mongodb://{hosts}/{self.database}" + (f"?{query}" if query else "")

    @property
    def url(self) -> str:
        return (MOTOR_SCHEME if self.motor else "mongodb") + self.driver_url.removeprefix("mongodb")


def parse_s3_place(url: str) -> S3Place:
    """Return the place of an s3+http:// or s3+https:// URL. Raises BadName."""
    match = _S3.match(url)
    if match is None:
        raise BadName("this is not the URL of an S3 bucket", _S3_REMEDY)
    scheme, authority, bucket, region = match.groups()
    _refuse_credentials(authority, "MUNIMENT_S3_ACCESS_KEY and MUNIMENT_S3_SECRET_KEY")
    tls = scheme == "https"
    host, port = _parse_host(authority, _s3_port(tls), _S3_REMEDY)
    if not 3 <= len(bucket) <= 63 or not _BUCKET.match(bucket):
        raise BadName("the bucket's name in this S3 URL is not one that S3 takes", _S3_REMEDY)
    if region is not None and not _REGION.match(region):
        raise BadName("the region in this S3 URL is not one", _S3_REMEDY)
    place = S3Place(host=host, port=port, tls=tls, bucket=bucket, region=region or DEFAULT_REGION)
    _refuse_other_spelling(url, place.url)
    return place


def parse_mongo_place(url: str) -> MongoPlace:
    """Return the place of a mongodb:// or mongodb+motor:// URL. Raises BadName."""
    match = _MONGO.match(url)
    if match is None:
        raise BadName("this is not the URL of a MongoDB database", _MONGO_REMEDY)
    scheme, authority, database, query = match.groups()
    _refuse_credentials(authority, "MUNIMENT_MONGODB_USER and MUNIMENT_MONGODB_PASSWORD")
    hosts = tuple(_parse_host(text, MONGO_PORT, _MONGO_REMEDY) for text in authority.split(","))
    if not _DATABASE.match(database):
        raise BadName("the database's name in this MongoDB URL is not 1 to 38 of A-Z a-z 0-9 _ -", _MONGO_REMEDY)
    options = []
    for option in [] if query is None else query.split("&"):
        name, _, value = option.partition("=")
        if name not in MONGO_OPTIONS:
            raise BadName("this MongoDB URL sets an option that is not its to set", f"It takes {MONGO_OPTIONS}.")
        options.append((name, unquote(value)))
    if [name for name, _ in options] != [name for name in MONGO_OPTIONS if name in dict(options)]:
        raise BadName("the options of this MongoDB URL are doubled or out of order", f"The order is {MONGO_OPTIONS}.")
    if any(not value or not value.isprintable() for _, value in options):
        raise BadName("an option of this MongoDB URL has no proper value", _MONGO_REMEDY)
    place = MongoPlace(hosts=hosts, database=database, options=tuple(options), motor=scheme == MOTOR_SCHEME)
    _refuse_other_spelling(url, place.url)
    return place


def _parse_host(text: str, default_port: int, remedy: str) -> tuple[str, int]:
    host, port = text, default_port
    if re.search(r":[^:\]]*\Z", text):
        host, _, number = text.rpartition(":")
        if not _PORT.match(number) or int(number) > 65535:
            raise BadName("the port in this URL is not 1 to 65535", remedy)
        port = int(number)
    if not _HOST.match(host):
        raise BadName("the host in this URL is not a lower-case name or an address", remedy)
    return host, port


def _refuse_credentials(authority: str, variables: str) -> None:
    if "@" in authority:
        raise BadName("the URL of a store holds no credentials", f"Leave them out and set {variables}.")


def _refuse_other_spelling(url: str, spelling: str) -> None:
    if url != spelling:
        raise BadName("this store has another spelling", f"Write it as {spelling}")


def _s3_port(tls: bool) -> int:
    return 443 if tls else 80
