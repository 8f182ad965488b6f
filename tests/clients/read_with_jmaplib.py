"""Reads a JMAP account with jmaplib, unmodified, in the clients' own venv: URL and TOKEN in, JSON out."""

from __future__ import annotations

import json
import sys

from jmap import MethodError
from jmap.auth import BearerAuth
from jmap.client import JMAPClient
from jmap.sync import ChangeStream


def main(url: str, token: str) -> None:
    with JMAPClient.connect(url, auth=BearerAuth(token)) as client:
        assert client.echo(hello=True) == {"hello": True}
        with client.batch() as batch:
            mailboxes = batch.mail.mailbox.get(ids=None)
            found = batch.mail.email.query(
                sort=[{"property": "receivedAt", "isAscending": False}], limit=50, calculate_total=True
            )
            emails = batch.mail.email.get(
                ids=found.ref_ids(),
                properties=[
                    "id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt", "from", "subject",
                    "preview", "textBody", "bodyValues",
                ],
                fetchTextBodyValues=True,
            )  # fmt: skip
            full = batch.mail.email.get(ids=found.ref_ids())
        got = emails.result.items
        with client.batch() as batch:
            threads = batch.mail.thread.get(ids=sorted({email.thread_id for email in got}))
            missing = batch.mail.email.get(ids=["m" + "a" * 26])
            changed = batch.mail.email.changes(since_state=emails.result.state)
            hits = batch.mail.email.query(filter={"text": "lighthouse"})
            snippets = batch.mail.search_snippet.get(filter={"text": "lighthouse"}, email_ids=hits.ref_ids())
            box = mailboxes.result.items[0]
            inside = batch.mail.email.query(filter={"inMailbox": box.id}, calculate_total=True)
        streams = {}
        for kind, state in (("Mailbox", mailboxes.result.state), ("Email", emails.result.state)):
            stream = ChangeStream(client, kind)
            stream.seed(state)
            changes = stream.catch_up()
            streams[kind] = [*changes.created, *changes.updated, *changes.destroyed]
        blobs = {email.id: client.download(email.blob_id, content_type="message/rfc822") for email in got}
        try:
            batch_error = client.call("Email/changes", {"sinceState": "nonsense"})
        except MethodError as error:
            batch_error = error.type
        answer = {
            "total": found.result.total,
            "mailboxes": {box.name: box.total_emails for box in mailboxes.result.items},
            "in_first": inside.result.total,
            "emails": [
                {
                    "text": "".join(value.value for value in (email.body_values or {}).values()),
                    "from": [who.email for who in email.from_ or []],
                    "size": email.size,
                    "blob": len(blobs[email.id]),
                }
                for email in got
            ],
            "full": len(full.result.items),
            "threads": sorted(id for thread in threads.result.items for id in thread.email_ids)
            == sorted(email.id for email in got),
            "missing": list(missing.result.not_found),
            "changes": [*changed.result.created, *changed.result.updated, *changed.result.destroyed],
            "streams": streams,
            "hits": len(hits.result.ids),
            "snippets": len(snippets.result.items),
            "unknown_state": batch_error,
            "stale": client.session_stale,
        }
        print(json.dumps(answer))


main(*sys.argv[1:])
