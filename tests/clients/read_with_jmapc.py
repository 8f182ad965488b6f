"""Reads a JMAP account with jmapc, unmodified, in the clients' own venv: HOST and TOKEN in, JSON out."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from jmapc import Client, Comparator, EmailBodyPart, EmailQueryFilterCondition, Ref, errors
from jmapc.methods import (
    CoreEcho,
    EmailChanges,
    EmailGet,
    EmailQuery,
    MailboxChanges,
    MailboxGet,
    SearchSnippetGet,
    ThreadChanges,
    ThreadGet,
)


def main(host: str, token: str) -> None:
    client = Client.create_with_api_token(host=host, api_token=token)
    assert client.request(CoreEcho(data={"hello": True}), raise_errors=True).data == {"hello": True}
    mailboxes = client.request(MailboxGet(ids=None), raise_errors=True)
    found, emails = (
        answer.response
        for answer in client.request(
            [
                EmailQuery(
                    sort=[Comparator(property="receivedAt", is_ascending=False)],
                    limit=50,
                    calculate_total=True,
                ),
                EmailGet(ids=Ref("/ids"), fetch_text_body_values=True),
            ],
            raise_errors=True,
        )
    )
    threads = client.request(ThreadGet(ids=sorted({e.thread_id for e in emails.data})), raise_errors=True)
    missing = client.request(EmailGet(ids=["m" + "a" * 26]), raise_errors=True)
    changes = [
        client.request(kind(since_state=state, max_changes=50), raise_errors=True)
        for kind, state in (
            (EmailChanges, emails.state),
            (MailboxChanges, mailboxes.state),
            (ThreadChanges, threads.state),
        )
    ]
    wanted = EmailQueryFilterCondition(text="lighthouse")
    hits = client.request(EmailQuery(filter=wanted), raise_errors=True)
    snippets = client.request(SearchSnippetGet(filter=wanted, ids=hits.ids), raise_errors=True)
    stale = client.request(EmailChanges(since_state="nonsense"))
    told = []
    with tempfile.TemporaryDirectory() as folder:
        for email in emails.data:
            file = Path(folder) / "message.eml"
            part = EmailBodyPart(blob_id=email.blob_id, name="message.eml", type="message/rfc822")
            client.download_attachment(part, file)
            told.append(
                {
                    "text": "".join(value.value for value in (email.body_values or {}).values()),
                    "from": [who.email for who in email.mail_from or []],
                    "size": email.size,
                    "blob": file.stat().st_size,
                }
            )
    answer = {
        "total": found.total,
        "mailboxes": {box.name: box.total_emails for box in mailboxes.data},
        "emails": told,
        "threads": sorted(id for thread in threads.data for id in thread.email_ids)
        == sorted(email.id for email in emails.data),
        "missing": missing.not_found,
        "changes": [id for one in changes for id in [*one.created, *one.updated, *one.destroyed]],
        "hits": len(hits.ids),
        "snippets": len(snippets.data),
        "unknown_state": stale.type if isinstance(stale, errors.Error) else "no error",
    }
    print(json.dumps(answer))


main(*sys.argv[1:])
