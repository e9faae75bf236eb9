"""What the application holds for its handlers."""

from aiohttp import web

from app.service.registry import Registry

REGISTRY: web.AppKey[Registry] = web.AppKey("registry", Registry)
