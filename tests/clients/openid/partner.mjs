// A partner with openid-client, nothing patched: PAR + RAR + PKCE + private_key_jwt + DPoP with nonce, then a
// reading, introspection, refresh and revocation. In: one line of JSON {issuer, client_id, jwk, redirect_uri,
// details}; out: a line {authorize}; in: the URL the browser was sent back to; out: a line with what was seen.
import * as client from 'openid-client'
import { createInterface } from 'node:readline'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const say = (answer) => process.stdout.write(JSON.stringify(answer) + '\n')
const refused = async (attempt) => {
  try {
    const answer = await attempt()
    return answer instanceof Response ? answer.status : 'accepted'
  } catch (error) {
    return error.error ?? error.cause?.error ?? error.status ?? error.cause?.[0]?.parameters?.error ?? error.code
  }
}

const { issuer, client_id, jwk, redirect_uri, details } = JSON.parse((await lines.next()).value)
const { kid, use, key_ops, alg, ...bare } = jwk
const key = await crypto.subtle.importKey('jwk', bare, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const config = await client.discovery(new URL(issuer), client_id, undefined, client.PrivateKeyJwt({ key, kid }), {
  algorithm: 'oauth2',
  execute: [client.allowInsecureRequests], // plain http on loopback
})
const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
const verifier = client.randomPKCECodeVerifier()
const state = client.randomState()

const authorize = await client.buildAuthorizationUrlWithPAR(
  config,
  {
    redirect_uri,
    scope: 'inbox.read',
    state,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    authorization_details: JSON.stringify(details),
  },
  { DPoP },
)
say({ authorize: authorize.href })

const callback = new URL((await lines.next()).value)
const checks = { pkceCodeVerifier: verifier, expectedState: state }
const tokens = await client.authorizationCodeGrant(config, callback, checks, undefined, { DPoP })
const url = new URL('/jmap/session', issuer)
const read = (token, handle = DPoP) =>
  client.fetchProtectedResource(config, token, url, 'GET', undefined, undefined, { DPoP: handle })
const session = await (await read(tokens.access_token)).json()
const stranger = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
const introspected = await client.tokenIntrospection(config, tokens.access_token)
const second = await refused(() => read(tokens.access_token, stranger))
const renewed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
const again = (await read(renewed.access_token)).status
await client.tokenRevocation(config, renewed.access_token)
const revoked = await refused(() => read(renewed.access_token))
const told = await client.tokenIntrospection(config, renewed.access_token)
const replayed = await refused(() => client.authorizationCodeGrant(config, callback, checks, undefined, { DPoP }))
const after = await refused(() => read(tokens.access_token))
say({
  metadata: config.serverMetadata().supportsPKCE(),
  token_type: tokens.token_type,
  scope: tokens.scope,
  details: tokens.authorization_details,
  accounts: Object.keys(session.accounts),
  introspected,
  second,
  again,
  revoked,
  told,
  replayed,
  after,
})
process.exit(0)
