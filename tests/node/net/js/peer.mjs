// A js-libp2p peer for tests/node/net/test_js.py.
// Usage: node peer.mjs SECRET_HEX [MULTIADDR]
// It listens, echoes, and prints its port; given an address it dials, has 2 MB echoed, and prints how many came back.

Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new Promise((a, b) => { resolve = a; reject = b })
  return { promise, resolve, reject }
}

const { createLibp2p } = await import('libp2p')
const { tcp } = await import('@libp2p/tcp')
const { noise } = await import('@chainsafe/libp2p-noise')
const { yamux } = await import('@chainsafe/libp2p-yamux')
const { privateKeyFromRaw } = await import('@libp2p/crypto/keys')
const { multiaddr } = await import('@multiformats/multiaddr')

const ECHO = '/test/echo/1'
const [secret, target] = process.argv.slice(2)
const say = (value) => console.log(JSON.stringify(value))

async function send (stream, data) {
  for (let at = 0; at < data.length; at += 60_000) {
    if (!stream.send(data.subarray(at, at + 60_000))) await stream.onDrain()
  }
}

const node = await createLibp2p({
  privateKey: privateKeyFromRaw(Buffer.from(secret, 'hex')),
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()]
})

await node.handle(ECHO, async (stream) => {
  for await (const chunk of stream) {
    if (!stream.send(chunk)) await stream.onDrain()
  }
  await stream.close()
})

say({ port: Number(node.getMultiaddrs()[0].toString().split('/')[4]) })

if (target) {
  const stream = await node.dialProtocol(multiaddr(target), ECHO)
  const sent = new Uint8Array(2_000_000).map((_, at) => at * 7)
  const sending = send(stream, sent).then(() => stream.close())
  let echoed = 0
  let same = true
  for await (const chunk of stream) {
    for (const byte of chunk.subarray()) same &&= byte === sent[echoed++]
  }
  await sending
  say({ echoed, same })
}
