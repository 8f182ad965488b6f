// An inbox with jmap-jam, nothing patched: session, mailboxes, queries, a chain of references, threads, changes, a
// search with its snippets, a download, and what is refused. In: one line of JSON {session, token}; out: one line.
import JamClient from 'jmap-jam'
import { createInterface } from 'node:readline'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const { session, token } = JSON.parse((await lines.next()).value)
const jam = new JamClient({ sessionUrl: session, bearerToken: token })
const refused = async (attempt) => {
  try {
    await attempt()
    return 'accepted'
  } catch (error) {
    const first = Array.isArray(error) ? error[0] : error
    return first.type ?? first.cause?.type ?? first.cause?.title ?? String(first)
  }
}

const accountId = await jam.getPrimaryAccount()
const [mailboxes, meta] = await jam.api.Mailbox.get({ accountId, ids: null })
const [counted] = await jam.api.Email.query({ accountId, calculateTotal: true })
const [{ found, emails, threads }] = await jam.requestMany((t) => {
  const found = t.Email.query({ accountId, sort: [{ property: 'receivedAt', isAscending: false }], limit: 10 })
  const emails = t.Email.get({
    accountId,
    ids: found.$ref('/ids'),
    properties: ['id', 'threadId', 'mailboxIds', 'subject', 'from', 'preview', 'size', 'blobId', 'bodyValues', 'textBody'],
    fetchTextBodyValues: true
  })
  const threads = t.Thread.get({ accountId, ids: emails.$ref('/list/*/threadId') })
  return { found, emails, threads }
})
const [searched] = await jam.api.Email.query({ accountId, filter: { text: 'lighthouse' } })
const [snippets] = await jam.api.SearchSnippet.get({ accountId, filter: { text: 'lighthouse' }, emailIds: searched.ids })
const [changes] = await jam.api.Email.changes({ accountId, sinceState: emails.state })
const [identities] = await jam.api.Identity.get({ accountId, ids: null })
const [submissions] = await jam.api.EmailSubmission.query({ accountId })
const { id, blobId, size } = emails.list[0]
const blob = await jam.downloadBlob({ accountId, blobId, mimeType: 'message/rfc822', fileName: 'mail.eml' })
const bytes = new Uint8Array(await blob.arrayBuffer())
const answer = {
  accountId,
  state: meta.sessionState,
  session: (await JamClient.loadSession(session, `Bearer ${token}`)).state,
  mailboxes: mailboxes.list,
  total: counted.total,
  found: found.ids,
  emails: emails.list,
  threads: threads.list,
  notFound: [...emails.notFound, ...threads.notFound],
  searched: searched.ids,
  snippets: snippets.list,
  changes,
  identities: identities.list,
  submissions: submissions.ids,
  download: { size: bytes.length, stated: size, type: blob.headers.get('content-type') },
  refused: {
    set: await refused(() => jam.api.Email.set({ accountId, destroy: [id] })),
    create: await refused(() => jam.api.Mailbox.set({ accountId, create: { a: { name: 'x' } } })),
    foreign: await refused(() => jam.api.Email.get({ accountId: 'nobody', ids: [] })),
    sort: await refused(() => jam.api.Email.query({ accountId, sort: [{ property: 'subject' }] })),
    vacation: await refused(() => jam.api.VacationResponse.get({ accountId, ids: null })),
    blob: await refused(() => jam.downloadBlob({ accountId, blobId: 'bnone', mimeType: 'text/plain', fileName: 'x' })),
    upload: await refused(() => jam.uploadBlob(accountId, new Blob(['x'])))
  }
}
process.stdout.write(JSON.stringify(answer) + '\n')
