// oidc-provider on a port of 127.0.0.1, with clients of each kind: node authorization_server.mjs PORT DIRECTORY [JWK]
// DIRECTORY is node_modules. JWK is the public key of the client `keyed`. Refresh tokens rotate, and a reuse destroys
// the whole grant. Its own pages accept any login with any password.
import { pathToFileURL } from 'node:url'

const [port, directory, jwk] = process.argv.slice(2)
const { Provider } = await import(pathToFileURL(`${directory}/oidc-provider/lib/index.js`))
const withLogin = ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code']
const redirects = ['http://127.0.0.1/', 'http://127.0.0.1/callback']

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: 'service', client_secret: 'fake-service-secret-+%&: /', grant_types: ['client_credentials'],
      redirect_uris: [], response_types: [], token_endpoint_auth_method: 'client_secret_basic',
    },
    {
      client_id: 'keyed', grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
      token_endpoint_auth_method: 'private_key_jwt', ...(jwk ? { jwks: { keys: [JSON.parse(jwk)] } } : {
        token_endpoint_auth_method: 'client_secret_post', client_secret: 'fake-keyed-secret' }),
    },
    {
      client_id: 'app', application_type: 'native', grant_types: withLogin, redirect_uris: redirects,
      response_types: ['code'], token_endpoint_auth_method: 'none',
    },
    {
      client_id: 'web', client_secret: 'fake-web-secret', application_type: 'native', grant_types: withLogin,
      redirect_uris: redirects, response_types: ['code'], token_endpoint_auth_method: 'client_secret_basic',
    },
  ],
  scopes: ['openid', 'offline_access', 'read', 'write'],
  cookies: { keys: ['fake-cookie-key'] },
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    pushedAuthorizationRequests: { enabled: true },
    revocation: { enabled: true },
  },
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  ttl: { AccessToken: 600, ClientCredentials: 600, RefreshToken: 86400, Interaction: 600, Session: 600, Grant: 86400 },
})

// What a person would grant in a browser: POST /test/grant?client=app&account=NAME answers a first refresh token.
provider.use(async (ctx, next) => {
  if (ctx.method !== 'POST' || ctx.path !== '/test/grant') return next()
  const client = await provider.Client.find(ctx.query.client)
  const accountId = ctx.query.account ?? 'person'
  const grant = new provider.Grant({ accountId, clientId: client.clientId })
  grant.addOIDCScope('openid offline_access read write')
  const token = new provider.RefreshToken({
    accountId, client, grantId: await grant.save(), scope: 'openid offline_access read write',
    gty: 'authorization_code', authTime: Math.floor(Date.now() / 1000), rotations: 0,
    iiat: Math.floor(Date.now() / 1000),
  })
  ctx.body = { refresh_token: await token.save() }
})

provider.listen(Number(port), '127.0.0.1')
