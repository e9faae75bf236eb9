"""What the application holds for its handlers."""

from aiohttp import web

from app.service.registry import Registry
from app.web.rooms import Room
from app.web.traffic import Traffic

REGISTRY: web.AppKey[Registry] = web.AppKey("registry", Registry)
SEGMENT_ROOM: web.AppKey[Room] = web.AppKey("segments", Room)
MANIFEST_ROOM: web.AppKey[Room] = web.AppKey("manifests", Room)
TRAFFIC: web.AppKey[Traffic] = web.AppKey("traffic", Traffic)
