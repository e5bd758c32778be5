"""Puts the rooms together: what one feature needs of another is handed over here."""
from __future__ import annotations

import hmac
import ipaddress
import logging
import time
from functools import cached_property
from typing import Any, cast
from urllib.parse import urlsplit

from aiohttp import web

from server.accounts import confirmation, export, profiles, recovery
from server.accounts import routes as accounts_routes
from server.accounts import verification
from server.accounts.confirmation import EMAIL_CONFIRMED, Confirmation
from server.accounts.correspondence import Correspondence
from server.accounts.erasure import Elsewhere as ErasedElsewhere
from server.accounts.erasure import Erasure, ScrubJob
from server.accounts.gate import Gate
from server.accounts.needs import Needs
from server.accounts.passwords import Hasher
from server.accounts.recovery import ForgotJob, Forgetting, Resetting
from server.accounts.service import Accounts, Neighbours
from server.accounts.tokens import Tokens
from server.accounts.verification import EMAIL_VERIFIED, Verification, VerifyJob
from server.admin import audit as audit_routes
from server.admin import jobs as job_routes
from server.admin import members as member_routes
from server.admin import stats as stats_room
from server.core import units
from server.core.clock import DAY, MINUTE, SECOND, Clock, now_ms
from server.enrichment import queries as enrichment_queries
from server.enrichment import routes as enrichment_routes
from server.enrichment import service as enrichment_service
from server.enrichment.jobs import EnrichJob
from server.enrichment.model import ENRICHED
from server.enrichment.service import Enricher
from server.events import EventLog, Nudges
from server.events import routes as event_routes
from server.files import checks as checks_room
from server.files import queries as files_queries
from server.files import routes as files_routes
from server.files import service as files_service
from server.files.jobs import CheckJob
from server.files.service import FILE_CHECKED, Files
from server.jobs import Handler, Queue, RetryPolicy, Worker
from server.mail import Links, Outbox
from server.mail import queries as mail_queries
from server.mail import routes as mail_routes
from server.mail.jobs import SendJob
from server.ops import chores
from server.ops import health as health_room
from server.ops import pages
from server.ops import routes as ops_routes
from server.ops.health import Health
from server.outside import Outside
from server.people import routes as people_routes
from server.people import schedules as schedules_room
from server.people.jobs import ImportJob
from server.people.runs import IMPORT_FINISHED, Runs
from server.people.service import Importing
from server.posts import queries as posts_queries
from server.posts import routes as posts_routes
from server.posts.erasure import PostsErasure
from server.posts.memory import Memory
from server.posts.service import POST_LIKED, Posts
from server.providers.answers import hasher as address_hasher
from server.providers.mail import sender_of
from server.providers.provider import Provider
from server.referrals import queries as referrals_queries
from server.referrals import remembered
from server.referrals import routes as referrals_routes
from server.referrals.remembered import Remembered
from server.referrals.service import REFERRAL_CREDITED, Referrals
from server.settings import Settings
from server.storage import Database
from server.web import openapi, origins
from server.web.allowances import Allowances
from server.web.dispatch import Dispatcher
from server.web.express import Express
from server.web.guard import Guard
from server.web.limits import Limiter
from server.web.machine import Machine
from server.web.metrics import Metrics
from server.web.patience import Patience
from server.web.route import Call, Cookie, Route
from ws import asyncapi, sse
from ws.connection import endpoint
from ws.hub import Hub, Surroundings

VERSION = "0.1.0"
EVENTS = (ENRICHED, EMAIL_VERIFIED, EMAIL_CONFIRMED, REFERRAL_CREDITED, FILE_CHECKED, POST_LIKED, IMPORT_FINISHED)
_JOBS_OF_MEMBERS = (enrichment_service.KIND, verification.KIND, files_service.KIND)
__all__ = ["Foyer", "Outside", "VERSION"]
log = logging.getLogger("foyer")
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class Invitation:
    """What the browser remembers of a referral link, in a signed cookie."""

    def __init__(self, signed: Remembered) -> None:
        self._signed = signed

    def of(self, call: Call) -> str | None:
        """The code that came with the request."""
        return self._signed.code(call.request.cookies.get(remembered.COOKIE))

    def used(self) -> Cookie:
        """Makes the browser forget it."""
        return Cookie(remembered.COOKIE, "", "/", 0)


class Foyer:
    """One server: its rooms, put together. Nothing here waits or opens anything."""

    def __init__(self, settings: Settings, database: Database, outside: Outside, secret: str, card_key: str,
                 epoch: str, clock: Clock = now_ms) -> None:
        self.settings, self.database, self.outside = settings, database, outside
        self.metrics, self.nudges, self.queue = Metrics(), Nudges(), Queue()
        self.events = EventLog(self.nudges)
        self.memory = Memory()
        self.hasher = Hasher(settings.auth.bcrypt_cost)
        self.tokens = Tokens(secret, settings.auth.access_minutes * MINUTE, clock)
        self.gate = Gate(database, self.tokens, clock)
        self.limiter = _limiter(settings, outside)
        self.allowances = Allowances(database, self.limiter)
        self.health = Health(database, outside.described(), outside.stand_ins)
        self.port = settings.server.port
        self.express: Express | None = None  # there when nothing needs aiohttp's own way
        self._address_hash = address_hasher(secret)
        self._body_key = hmac.digest(secret.encode(), b"foyer request bodies", "sha256")
        self.remembered = Remembered(hmac.digest(secret.encode(), b"foyer invitation", "sha256"))
        self.links = Links(secret, lambda: self.public_url)
        self.sender = sender_of(settings)
        self.outbox = Outbox(outside.mail is not None, self.queue, self.sender.rstrip(">").rpartition("@")[2])
        self._enrichment()
        self._accounts()
        self.posts = Posts(self.memory, self.events, settings.hunter.reject, self.confirmation.check_may_write)
        self.files = Files(settings.checks.files_per_member, self.queue, self.events, self.confirmation.check_may_write,
                           self.confirmation.correspondence.file_checked)
        self.hub = Hub(Surroundings(database, self.gate.authenticate, self.nudges, clock, self.allows_origin, epoch,
                                    settings.limits.sockets if settings.limits.enabled else 2**31))
        self.gate.listeners.append(self.hub)
        self.importing = Importing(card_key)
        self.handlers = self._handlers()
        self.worker = Worker(database, self.queue, self.handlers)
        self.started_at = clock()
        self.document: dict[str, Any] = {}
        self.routes = self._routes()
        self.document.update(openapi.document(self.routes, VERSION))
        self._gauges()

    def _enrichment(self) -> None:
        known: dict[str, Provider | None] = {"clearbit": self.outside.clearbit, "hunter": self.outside.hunter,
                                             "gravatar": self.outside.gravatar}
        asked = [known[name] for name in self.settings.enrichment.providers]
        self._providers: list[Provider] = [provider for provider in asked if provider is not None]
        self.enricher = Enricher(bool(self._providers), self.queue, self.events, self.memory.author_changed)

    def _accounts(self) -> None:
        hunter = self.settings.hunter
        self.verification = Verification(self.outside.hunter, self.database, self.queue, self._address_hash,
                                         hunter.timeout, hunter.reject, hunter.on_failure)
        needed = self.settings.auth.require_confirmed_email
        self.referrals = Referrals(self.settings.referrals, self.events, self._address_hash, needed != "no")
        self.confirmation = Confirmation(
            Correspondence(self.outbox, self.links, self.allowances, self._address_hash), self.links, self.events,
            self.verification, needed, self.referrals.confirmed)
        neighbours = Neighbours(self.enricher.begin, self.referrals.join, enrichment_queries.read,
                                self.memory.author_changed)
        self.accounts = Accounts(self.tokens, self.gate, self.verification, self.confirmation, neighbours,
                                 self.settings.auth.refresh_days * DAY)
        self.erasure = Erasure(self.gate, self.queue, ErasedElsewhere(
            PostsErasure(self.memory).erase, files_queries.erase, mail_queries.delete_jobs, self._address_hash,
            _JOBS_OF_MEMBERS))
        self.exporting = export.Exporting(self.database, export.Elsewhere(
            self.accounts.me, enrichment_queries.exported, referrals_queries.exported_inviter,
            posts_queries.exported_posts, posts_queries.exported_likes, mail_queries.exported,
            referrals_queries.exported_invited, referrals_queries.exported_ledger, files_queries.exported_versions,
            checks_room.exported, self._address_hash, _JOBS_OF_MEMBERS))

    def _handlers(self) -> list[Handler]:
        settings = self.settings.enrichment
        policy = RetryPolicy(settings.attempts, settings.first_retry, settings.longest_retry)
        mail = self.settings.mail
        return [
            EnrichJob(self._providers, self.enricher, self._address_hash, policy, settings.concurrency),
            VerifyJob(self.outside.hunter, self.events, self.enricher.claimed, self._address_hash, policy),
            SendJob(self.outside.mail, self.links, self.sender, lambda: self.public_url, mail.first_retry,
                    mail.longest_retry),
            ForgotJob(self.confirmation),
            CheckJob(self.outside.cell, self.files, self.settings.checks.concurrency),
            ImportJob(self.outside.randomdata, self.importing, Runs(self.events)),
            ScrubJob(self.database),
            *chores.handlers(self.settings, self.database),
        ]

    def _routes(self) -> list[Route]:
        needs = Needs(
            self.database, self.accounts, self.erasure, self.verification, self.hasher, self.tokens, self.limiter,
            self.allowances, Invitation(self.remembered), self.settings.limits.signup,
            self.settings.limits.login_failures, self.settings.auth.refresh_days * DAY // 1000)
        return [
            *accounts_routes.routes(needs),
            *confirmation.routes(self.confirmation),
            *recovery.routes(Forgetting(self.database, self.queue),
                             Resetting(self.database, self.links, self.hasher, self.gate, self.confirmation)),
            export.route(self.exporting),
            *profiles.routes(),
            *enrichment_routes.routes(self.enricher, self._address_hash),
            *posts_routes.routes(self.posts, self.memory),
            *files_routes.routes(self.files, self.settings.checks.max_file),
            *referrals_routes.routes(self.referrals, self._invitation),
            *people_routes.routes(self.database),
            *schedules_room.routes(self.queue),
            *mail_routes.routes(self.database, self.links, lambda: self.public_url, self.outbox.configured),
            *event_routes.routes(),
            *member_routes.routes(self.gate),
            *job_routes.routes(self.queue, self.handlers),
            *audit_routes.routes(),
            stats_room.route(self.database, stats_room.Server(VERSION, self.started_at, lambda: self.hub.count,
                                                              self.outside.wanted())),
            sse.route(self.hub),
            *health_room.routes(self.health),
            ops_routes.metrics_route(self.database, self.metrics, bool(self.settings.backup.folder)),
            ops_routes.openapi_route(self.document),
            ops_routes.asyncapi_route(lambda: self.socket_document),
        ]

    def _gauges(self) -> None:
        self.metrics.gauge("foyer_sockets", "Open sockets and event streams.", lambda: self.hub.count)
        self.metrics.gauge("foyer_jobs_running", "Jobs that this process works on.", lambda: self.worker.running)
        self.metrics.gauge("foyer_passwords_waiting", "Passwords that are being hashed or wait for it.",
                           lambda: self.hasher.waiting)

    def web_app(self, patience: Patience = Patience()) -> web.Application:
        """The aiohttp application."""
        settings = self.settings
        guard = Guard(self.metrics)
        app = web.Application(middlewares=[guard.middleware()], client_max_size=settings.server.max_body)
        limits = settings.limits
        rates = {"read": limits.read, "write": limits.write, "signup": limits.signup, "login": limits.login}
        machine = Machine(self.database, self.gate.authenticate, self.gate.remembered, self.limiter, self.allowances,
                          rates, settings.server.trusted_proxies, secret=self._body_key,
                          secure=settings.server.public_url.startswith("https:"), plain=bool(settings.cors.origins),
                          body_seconds=patience.body, answers_kept_ms=int(settings.retention.idempotency * SECOND))
        dispatcher = Dispatcher(guard)
        added = [_add(app, dispatcher, route, machine) for route in self.routes]
        sockets = endpoint(self.hub)
        app.router.add_get("/ws", sockets)
        dispatcher.add_handler("/ws", sockets)
        pages.add_to(app, self.document, self.outside.stand_ins, self.remembered,
                     secure=self.public_url.startswith("https:"))
        if settings.cors.origins:
            origins.allow(app, settings.cors.origins, added)
        else:
            self.express = Express(dispatcher, guard, machine.address)
        app.on_shutdown.append(self._say_good_bye)
        return app

    async def _say_good_bye(self, app: web.Application) -> None:
        await self.hub.close()

    async def changed_elsewhere(self) -> None:
        """Another process has written to the database: what is remembered is looked up again."""
        self.memory.everything_changed()
        self.queue.wake()
        await self.gate.look_again()

    @property
    def public_url(self) -> str:
        """Where the outside sees this server."""
        return self.settings.server.public_url or f"http://{_shown(self.settings.server.host)}:{self.port}"

    def _invitation(self, code: str) -> str:
        return f"{self.public_url}/signup?ref={code}"

    @cached_property
    def socket_document(self) -> dict[str, Any]:
        """The AsyncAPI document; made when it is asked for, because the port may be known only then."""
        return asyncapi.document(EVENTS, self.public_url, VERSION)

    def allows_origin(self, origin: str) -> bool:
        """Whether a page of this origin may open a socket."""
        return origin.lower() in {_origin(self.public_url), *self._own_names(), *self.settings.cors.origins}

    def _own_names(self) -> list[str]:
        if self.settings.server.public_url or not units.is_loopback(self.settings.server.host):
            return []
        return [f"http://{name}:{self.port}" for name in ("localhost", "127.0.0.1", "[::1]")]


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _limiter(settings: Settings, outside: Outside) -> Limiter:
    # Who has set the keys and only no mail server is not trying things out; random-data-api needs no key.
    trying = set(outside.stand_ins) - {"mail", "randomdata"}
    exempt = settings.limits.exempt + (_LOOPBACK if trying else ())
    return Limiter(settings.limits.enabled, exempt, time.monotonic)


def _add(app: web.Application, dispatcher: Dispatcher, route: Route, machine: Machine) -> web.AbstractRoute:
    entry = machine.entry(route)
    dispatcher.add(route, entry)

    async def handle(request: web.Request) -> web.StreamResponse:
        return await entry.handler(request, request.match_info)
    if route.method == "GET":
        return app.router.add_get(route.path, handle)  # answers HEAD too
    return app.router.add_route(route.method, route.path, handle)


def document(settings: Settings) -> dict[str, Any]:
    """The OpenAPI document of a server with these settings, without starting one."""
    return _unserved(settings).document


def socket_document(settings: Settings) -> dict[str, Any]:
    """The AsyncAPI document, likewise."""
    return _unserved(settings).socket_document


def _unserved(settings: Settings) -> Foyer:
    return Foyer(settings, cast(Database, None), Outside(), "no token is made with this secret", "no fingerprint", "")
