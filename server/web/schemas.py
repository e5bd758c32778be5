"""The JSON schemas of what comes and goes: those that msgspec makes of the types, with what the types cannot say.

A word means the same wherever it stands, so what a field is for, and an example of it, is told once per word; where one
means something else in one type, by both their names.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from server.core.errors import CODES
from server.web.fields import MAX_ID
from server.web.problems import ProblemBody
from server.web.route import Route

TEMPLATE = "#/components/schemas/{name}"
Schema = dict[str, Any]


class Word(NamedTuple):
    """What a field is for, and an example of it."""

    says: str
    example: Any


WORDS = {
    "username": Word("The member's unique name; without regard to case.", "ada"),
    "email": Word("The member's own address; shown to nobody else.", "ada@example.org"),
    "password": Word("The password.", "corr3ct-horse"),
    "current": Word("The password until now.", "corr3ct-horse"),
    "OpenSession.current": Word("Whether it is the session of the token that came.", True),
    "new": Word("The password from now on.", "batt3ry-staple"),
    "name": Word("The member's name as they write it.", "Ada Lovelace"),
    "title": Word("The title, of a post or of a member.", "Notes on the engine"),
    "company": Word("Where the member works.", "Analytical Engines"),
    "location": Word("Where the member lives.", "London"),
    "bio": Word("What the member says of themselves.", "I write programs for engines that are not built yet."),
    "site": Word("The member's web site.", "https://example.org/ada"),
    "avatar_url": Word("The member's picture.", "https://example.org/ada.png"),
    "birth_date": Word("The member's birthday; shown to nobody else.", "1987-12-10"),
    "referral_code": Word("The code of the member who brought the newcomer.", "ADA-1843"),
    "access_token": Word("Goes into `Authorization: Bearer ...`.", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2lnbmVk"),
    "Me.referral_code": Word("The member's own code, by which others come.", "k7m2p9qx4t"),
    "refresh_token": Word("Is changed for a new pair of tokens, once.", "1.0.bm9uY2U"),
    "token": Word("The token of the link in the mail.", "bWFpbGVk"),
    "text": Word("The text, as it was sent.", "It weaves algebraic patterns."),
    "link": Word("What the post is about.", "https://example.org/engine"),
    "author": Word("Only the posts of the member of this name.", "ada"),
    "q": Word("What the name begins with; without regard to case.", "ad"),
    "unliked": Word("Only posts that nobody has liked.", False),
    "sort": Word("Newest first, or most liked first.", "new"),
    "limit": Word("How many at most.", 20),
    "cursor": Word("The `next` of the page before; opaque.", None),
    "after": Word("Only what has a higher number.", 0),
    "seq": Word("The number of an event; without a gap per member.", 1),
    "id": Word("Its number.", 1),
    "role": Word("What the member may do.", "member"),
    "email_status": Word("What the verifier says of the address.", "valid"),
    "email_confirmed_at": Word("Since when the member has shown that the mailbox is theirs.", None),
    "email_pending": Word("The address that takes the place of `email` once it is confirmed.", None),
    "post_count": Word("How many posts the member has written.", 3),
    "like_count": Word("How many like the post.", 5),
    "edited_at": Word("When it was changed last; null when it never was.", None),
    "status": Word("How far it has come.", "queued"),
    "accepted": Word("It will be done, if there is anything to do.", True),
    "code": Word("The code of a member's referral link; without regard to case.", "k7m2p9qx4t"),
    "ProblemBody.code": Word("Which of the published problems it is.", "not_found"),
    "FieldError.code": Word("What is wrong, in a word.", "required"),
    "ProblemBody.status": Word("The HTTP status.", 404),
    "ReferralOutcome.status": Word("What became of the code that came with the sign-up, if one did.", "applied"),
    "ReferralSummary.link": Word("Brings others by the member's code.", "https://example.org/signup?ref=k7m2p9qx4t"),
    "ReferralSummary.invited": Word("How many have come through the code.", 7),
    "ReferralSummary.counted": Word("How many of them count for rewards.", 6),
    "rewarded": Word("How many rewards the member got for them.", 1),
    "until_next_reward": Word("How many more must count until the next reward.", 4),
    "balance": Word("In minor units: the sum of all entries of the ledger.", 3000),
    "LedgerEntry.balance": Word("In minor units: the sum of the entries up to this one.", 2000),
    "amount": Word("In minor units.", 1000),
    "currency": Word("ISO 4217.", "USD"),
    "LedgerEntry.reason": Word("For coming through a code, or for those whom one's own brought.", "inviter_reward"),
    "joined_at": Word("When they signed up.", "2026-07-25T09:30:00.000Z"),
    "InvitedMember.counted": Word("Whether they count for a reward.", True),
    "valid": Word("Whether there is a member of this code.", True),
    "user_id": Word("The number of the member.", 1),
    "letter": Word("Which letter it is.", "confirm"),
    "recipient": Word("The address that it was written to.", "ada@example.org"),
    "Mail.subject": Word("The subject line.", "Confirm your e-mail address"),
    "Mail.reason": Word("Why it was not sent yet, or never will be.", None),
    "sent_at": Word("When a mail server took it.", None),
    "WholeMail.subject": Word("The subject line.", "Confirm your e-mail address"),
    "WholeMail.reason": Word("Why it was not sent yet, or never will be.", None),
    "WholeMail.text": Word("The plain text of the mail.", "Hello ada, ..."),
    "message_id": Word("The Message-ID, the same however often it is sent.", "<9f86d081884c7d65@example.org>"),
    "Mails.q": Word("The address that they were written to, or a part of one or of the letter's name.",
                    "ada@example.org"),
    "Members.q": Word("A part of the user name, of the name or of the address.", "ada"),
    "KnownMember.email": Word("The member's address.", "ada@example.org"),
    "suspended_at": Word("Since when the member is suspended; null when they are not.", None),
    "Posts.q": Word("A part of the title, or of the author's name.", "engine"),
    "Jobs.q": Word("A part of the kind, of the key or of the last error.", "enrich"),
    "Jobs.state": Word("Only those of this state.", "failed"),
    "KnownJob.state": Word("How far it has come; what failed is not tried again by itself.", "failed"),
    "KnownJob.kind": Word("What is to be done.", "enrich"),
    "KnownJob.key": Word("About whom or what: the number of a member or of a mail, say.", "1"),
    "KnownJob.attempts": Word("How often it was tried.", 8),
    "run_at": Word("When it is, or was, due.", "2026-07-25T09:30:00.000Z"),
    "KnownJob.last_error": Word("Why it was not done.", "no provider can be asked: clearbit: key"),
    "KnownJob.request_id": Word("Whose request caused it, as in the log.", "checkout-7f3a"),
    "Stats.started_at": Word("When this process began.", "2026-07-25T09:30:00.000Z"),
    "Imported.addresses": Word("Those imported by themselves, without those that people's own records carry.", 7),
    "Imported.cards": Word("Those imported by themselves, likewise.", 7),
    "Stats.counted": Word("When each was counted: now, or some minutes ago where there are many.", None),
    "Stats.version": Word("The version of the server.", "0.1.0"),
    "sockets": Word("How many sockets and event streams are open in this process.", 3),
    "Stats.providers": Word("The outside services, as `GET /readyz` shows them; `not_configured` without a key.", {}),
    "Stats.last_backup": Word("The newest scheduled backup that was opened, checked and read.", None),
    "Space.bytes": Word("How large it is.", 1843200),
    "wal_bytes": Word("SQLite's write-ahead log beside it; null on PostgreSQL.", 0),
    "LastBackup.file": Word("What the file is called, without its folder.", "foyer-20260725T093000Z.db"),
    "LastBackup.bytes": Word("How large it is.", 1843200),
    "Acts.q": Word("A part of the act, or of its target.", "login"),
    "Acts.member_id": Word("Only what concerns the account of this member.", 1),
    "Acts.actor_id": Word("Only what this member did.", 1),
    "AuditEntry.act": Word("What happened.", "member_suspended"),
    "AuditEntry.actor": Word("Who did it; null for the command line, and for who was not signed in.", None),
    "AuditEntry.member": Word("Whose account it concerns.", None),
    "AuditEntry.target": Word("What else it concerns.", "job 12"),
    "AuditEntry.address": Word("From where.", "203.0.113.7"),
    "AuditEntry.request_id": Word("By which request, as in the log.", "checkout-7f3a"),
    "AuditEntry.details": Word("More about it, and how many times in a minute.", {"times": 3}),
    "Who.username": Word("The member's name; null when they have left.", "ada"),
    "ExportedAct.act": Word("What happened.", "login_failed"),
    "ExportedAct.by": Word("Who did it; unknown when nobody was signed in.", "unknown"),
    "ExportedAct.about_you": Word("Whether it concerns one's own account.", True),
    "ExportedAct.target": Word("What else it concerns.", "session 12"),
    "ExportedAct.address": Word("From where; null for what an administrator did.", "203.0.113.7"),
    "ExportedAct.details": Word("More about it.", {"times": 3}),
    "mail_checks": Word("Whether a mail comes for every check of a file.", True),
    "File.name": Word("What the file is called, without a folder.", "engine.py"),
    "ExportedVersion.name": Word("What the file was called.", "engine.py"),
    "File.status": Word("How far the check of the newest version has come, or how it ended.", "passed"),
    "checked_at": Word("When that check ended.", None),
    "file_id": Word("The number of the file.", 1),
    "size": Word("In bytes.", 1843),
    "sha256": Word("Of the bytes, as hexadecimal digits.", "e3b0c44298fc1c149afbf4c8996fb924"
                   "27ae41e4649b934ca495991b7852b855"),
    "version": Word("Counts the versions of the file from 1.", 1),
    "Version.version": Word("Which version; the newest when it is not said.", 1),
    "ExportedVersion.content": Word("The bytes, in base64.", "cHJpbnQoIkhlbGxvIikK"),
    "Check.status": Word("How far it has come, or how it ended.", "violations"),
    "Check.reason": Word("Why the file could not be checked.", None),
    "ExportedCheck.status": Word("How far it has come, or how it ended.", "violations"),
    "ExportedCheck.reason": Word("Why the file could not be checked.", None),
    "flake8": Word("The versions of flake8 and of its plugins.",
                   "7.5.0 (mccabe: 0.7.0, pycodestyle: 2.15.0, pyflakes: 4.1.0)"),
    "python": Word("The version of Python that it ran under.", "CPython 3.11.7"),
    "total": Word("How many findings count.", 1),
    "suppressed": Word("How many findings `noqa` comments silence; they are not in `total` and `counts`.", 0),
    "counts": Word("How often each code was found.", {"F401": 1}),
    "findings": Word("What was found, by line; the silenced ones too.", None),
    "mail": Word("What has become of the mail about it; null when there is none.", "sent"),
    "line": Word("Counted from 1.", 1),
    "column": Word("Counted from 1.", 1),
    "Finding.code": Word("What is wrong, as a code of flake8.", "F401"),
    "Finding.text": Word("What is wrong, in words.", "'os' imported but unused"),
    "Finding.source": Word("The line as it stands in the file.", "import os"),
    "Finding.suppressed": Word("Whether a `noqa` comment silences it.", False),
    "FindPeople.q": Word("What a name of theirs begins with; without regard to case and accents.", "ada lo"),
    "ListPeople.q": Word("What a name of theirs begins with; without regard to case and accents.", "ada lo"),
    "gender": Word("The person's gender, in the words of the source.", "Female"),
    "country": Word("The country, in the words of the source.", "Norway"),
    "person_id": Word("The number of the person; null while none was found.", 1),
    "linked": Word("Only those of somebody, or only those of nobody.", True),
    "link_rule": Word("How the person was found; null while none was.", "uid"),
    "uid": Word("The source's own id; null for what a person's record carries.", None),
    "Person.uid": Word("The source's own id.", "0f8b2f0e-1111-4222-8333-5c6d7e8f9012"),
    "Person.username": Word("The user name in the source; not unique.", "ada.lovelace"),
    "Person.email": Word("The address in the source; invented, and nobody is written to there.", "ada@email.com"),
    "Person.avatar_url": Word("The person's picture.", "https://robohash.org/ada.png"),
    "Person.birth_date": Word("The person's birthday.", "1987-02-28"),
    "Person.addresses": Word("The person's addresses, oldest first; at most 100.", None),
    "Person.cards": Word("The person's cards, oldest first; at most 100.", None),
    "Subscription.status": Word("How it stands with the subscription, in the words of the source.", "Active"),
    "latitude": Word("In degrees, to six decimals.", -12.345678),
    "longitude": Word("In degrees, to six decimals.", 98.765432),
    "last4": Word("The last four digits of the number.", "0004"),
    "expires": Word("The day it expires.", "2027-02-28"),
    "max_line_length": Word("How long a line may be; 79 when it is not said.", 100),
    "Recheck.select": Word("Only codes that begin so: a list, or one text with commas.", "E,F,W"),
    "Recheck.ignore": Word("No codes that begin so: a list, or one text with commas.", "E203,W503"),
    "Options.select": Word("Only codes that begin so.", ["E", "F", "W"]),
    "Options.ignore": Word("No codes that begin so.", ["E203", "W503"]),
    "schedules.name": Word("Which schedule: `users`, `addresses` or `cards`.", "users"),
    "Schedule.name": Word("What it imports.", "users"),
    "schedule": Word("What was imported.", "users"),
    "every_seconds": Word("How often it runs.", 60),
    "enabled": Word("Whether it runs by itself.", True),
    "batch": Word("How many records are asked for at a time.", 10),
    "next_run_at": Word("When it is due; null while it is disabled.", None),
    "last_error": Word("Why the last one failed; null when it did not.", None),
    "last_run": Word("The newest run, which may be under way; null when there was none.", None),
    "ImportRun.status": Word("Whether it is under way, or how it ended.", "done"),
    "ImportRun.new": Word("How many records were not known before.", 7),
    "changed": Word("How many records were known, and have changed.", 1),
    "unchanged": Word("How many records were known as they are.", 1),
    "rejected": Word("How many records were not taken.", 1),
    "reasons": Word("Why records were not taken, and how many each.", {"uid: missing": 1}),
    "ImportRun.linked": Word("How many addresses and cards have found their person in it, besides those that people's "
                             "own records carry.", 3),
    "error": Word("Why it failed; null when it did not.", None),
}
TIME = {"type": "string", "format": "date-time", "description": "ISO 8601 in UTC, with milliseconds.",
        "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"}
ID = {"type": "integer", "minimum": 0, "maximum": MAX_ID}
_NULL: Schema = {"type": "null"}
_EMPTY: Schema = {"type": "string", "maxLength": 0}
_NO_NUL = {"pattern": r"^[^\u0000]*$"}


class Schemas:
    """The schemas of all types that the routes declare."""

    def __init__(self, routes: Sequence[Route]) -> None:
        taken = _types(route.takes for route in routes)
        given = _types(route.gives for route in routes)
        types = list(dict.fromkeys([*taken, *given, ProblemBody]))
        made, self.components = msgspec.json.schema_components(types, ref_template=TEMPLATE)
        self._made = dict(zip(types, made))
        for component in self.components.values():
            _explain(component)
        for kind in taken:
            _keep_clean(self.components[kind.__name__])
            form = _as_form(self.components[kind.__name__])
            if form["properties"] != self.components[kind.__name__]["properties"]:
                self.components[_form_name(kind)] = form
        self.components["ProblemBody"]["properties"]["code"] = {"type": "string", "enum": sorted(CODES)}

    def form_of(self, kind: type[msgspec.Struct]) -> Schema:
        """The schema of a type that comes as a form."""
        name = _form_name(kind)
        return {"$ref": TEMPLATE.format(name=name)} if name in self.components else self.of(kind)

    def example_of(self, kind: type[msgspec.Struct]) -> dict[str, Any]:
        """A whole body, made of the examples of its fields."""
        properties = self.components[kind.__name__]["properties"]
        return {name: schema["examples"][0] for name, schema in properties.items() if "examples" in schema}

    def of(self, kind: Any) -> Schema:
        """The schema of a declared type."""
        found: Schema = self._made[kind]
        return found


def parameters(kind: type[msgspec.Struct]) -> dict[str, Schema]:
    """The schema of each parameter of a query; a parameter that is not there needs no null."""
    _, components = msgspec.json.schema_components([kind])
    made = components[kind.__name__]
    _explain(made)
    _keep_clean(made)
    return {name: _without_null(schema) for name, schema in made["properties"].items()}


def _types(kinds: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(kind for kind in kinds if kind is not None))


def _explain(component: Schema) -> None:
    for name, schema in component.get("properties", {}).items():
        if name == "at" or name.endswith("_at"):
            _sharpen(schema, TIME)
        elif name == "id":
            _sharpen(schema, ID)
        word = WORDS.get(f"{component['title']}.{name}") or WORDS.get(name)
        if word is not None and "$ref" not in schema:
            schema.setdefault("description", word.says)
            if word.example is not None:
                schema["examples"] = [word.example]


def _sharpen(schema: Schema, rest: Schema) -> None:
    """Adds to the part of a schema that has this type."""
    for part in (schema, *schema.get("anyOf", ())):
        if part.get("type") == rest["type"]:
            part.update(rest)


def _keep_clean(component: Schema) -> None:
    """No text that comes in may hold what no database takes (see `fields.text`), where nothing stricter is said."""
    for schema in component["properties"].values():
        for part in (schema, *schema.get("anyOf", ())):
            if part.get("type") == "string" and not {"pattern", "format", "enum"} & part.keys():
                part.update(_NO_NUL)


def _form_name(kind: type[msgspec.Struct]) -> str:
    return f"{kind.__name__}Form"


def _as_form(component: Schema) -> Schema:
    """The same for a form, in which an empty value is null (see `bodies`), and which cannot say a list."""
    properties = {}
    for name, schema in component["properties"].items():
        parts = [_EMPTY if part == _NULL else part for part in schema.get("anyOf", ()) if part.get("type") != "array"]
        rest = {key: value for key, value in schema.items() if (key, value) != ("default", None)}
        properties[name] = {**rest, "anyOf": parts} if parts else rest
    return {**component, "title": f"{component['title']}Form", "properties": properties}


def _without_null(schema: Schema) -> Schema:
    parts = [part for part in schema.get("anyOf", ()) if part != _NULL]
    if len(parts) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf" and (key, value) != ("default", None)}
    return {**parts[0], **rest}
