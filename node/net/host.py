"""Stand on py-libp2p 0.8.1: identity, Noise handshake, protocol negotiation. The only file that knows it.

What libp2p gives is kept, how it runs is not trusted: each class below overrides one part, and says why.
No type of libp2p crosses the border: peers are `PeerId`, places are `Address`, streams are `Pipe`. Only what
GossipSub needs is handed on, to `gossip.py`.
Links between nodes stand in `links.py`, the muxer in `mux.py` and `connection.py`.

Rules:
    1. Noise is the only security offered. libp2p's default also takes plaintext, and believes any identity.
    2. The roster gate decides right after the handshake, before a stranger can speak any protocol.
    3. No fault that a peer can cause leaves a handler: libp2p would end the whole process.
    4. Of two connections of one peer the newest lives; the older one is usually a dead one not yet noticed.
"""

import ipaddress
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, cast

import trio
from libp2p.abc import (
    IListener,
    IMuxedConn,
    IMuxedStream,
    IRawConnection,
    ISecureConn,
    ISecureTransport,
)
from libp2p.abc import INetStream as INetStream
from libp2p.connection_types import ConnectionType
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.secp256k1 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519_key_pair
from libp2p.custom_types import THandler, TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.io.trio import TrioTCPStream
from libp2p.metrics.swarm import SwarmEvent
from libp2p.network.auto_connector import AutoConnector
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.stream.net_stream import NetStream
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID as ID
from libp2p.peer.peerstore import PeerStore
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.pubsub.gossipsub import GossipSub as GossipSub
from libp2p.pubsub.mcache import CacheEntry as CacheEntry
from libp2p.pubsub.mcache import MessageCache as MessageCache
from libp2p.pubsub.pb.rpc_pb2 import RPC as RPC
from libp2p.pubsub.pb.rpc_pb2 import Message as Message
from libp2p.pubsub.pubsub import Pubsub as Pubsub
from libp2p.security.base_session import BaseSession
from libp2p.security.exceptions import HandshakeFailure
from libp2p.security.noise.io import NoiseTransportReadWriter
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_ID
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.security.secure_session import SecureSession
from libp2p.stream_muxer.exceptions import (
    MuxedConnUnavailable,
    MuxedStreamClosed,
    MuxedStreamEOF,
    MuxedStreamReset,
)
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_ID
from libp2p.tools.anyio_service import background_trio_service as background_trio_service
from libp2p.transport.exceptions import OpenConnectionError
from libp2p.transport.tcp.tcp import TCP
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr

from node.errors import OperationError
from node.net.connection import Connection, ConnectionLost, Keepalive, Pipe
from node.net.doorstep import Doorstep
from node.net.mux import MuxLimits, StreamClosed, StreamReset
from node.net.noise import RecordOpener, RecordSealer
from node.net.transport import PEER_ID_BYTES, Address, PeerId

ID_PREFIX = bytes.fromhex("002508021221")
"""Identity multihash of 37 bytes; protobuf key type 2 (secp256k1), key of 33 bytes. The key follows."""

HANDSHAKE_S = 6.0
"""From the first TCP byte to an authenticated, muxed connection."""

CONNECT_S = 2.0
"""To the first TCP answer. The kernel repeats the first packet after 1, 3 and 7 s: a new dial is sooner."""

NEGOTIATION_S = 5
"""To agree on the protocol of a fresh stream."""

SOCKET_READ_BYTES = 256 << 10
CONNECTIONS_MAX = 256

log = logging.getLogger("coopd.net")

Handler = Callable[[Pipe], Awaitable[None]]
FaultHook = Callable[[PeerId, Exception], None]


class Started(Protocol):
    """Take the report that a task of `nursery.start` is ready."""

    def started(self, value: tuple[Address, ...]) -> None:
        """Report the addresses that are listened on."""
        ...


class DialFailed(Exception):
    """Report that a peer could not be reached, or is not who the roster says."""


def encode_libp2p_id(peer: PeerId) -> ID:
    """Make the libp2p peer id of a node."""
    if len(peer) != PEER_ID_BYTES:
        raise ValueError(f"a peer id has {PEER_ID_BYTES} bytes, not {len(peer)}")
    return ID(ID_PREFIX + peer)


def decode_libp2p_id(libp2p_id: ID) -> PeerId | None:
    """Read the node's key from a libp2p peer id; None when its key is not a secp256k1 key."""
    data = libp2p_id.to_bytes()
    if len(data) != len(ID_PREFIX) + PEER_ID_BYTES or not data.startswith(ID_PREFIX):
        return None
    return PeerId(data[len(ID_PREFIX) :])


def format_peer_id(peer: PeerId) -> str:
    """Write a peer id as every libp2p tool does: base58, `16Uiu2HA...`."""
    return str(encode_libp2p_id(peer))


def peer_id_from_secret(secret: bytes) -> PeerId:
    """Derive a node's public name from its 32-byte secret key."""
    return PeerId(create_new_key_pair(secret).public_key.to_bytes())


class _Session(BaseSession):
    """Take over the socket after libp2p's Noise handshake: one send for many records, no lock, one buffer."""

    def __init__(self, inner: SecureSession, peer: PeerId) -> None:
        super().__init__(
            local_peer=inner.local_peer,
            local_private_key=inner.local_private_key,
            remote_peer=inner.remote_peer,
            remote_permanent_pubkey=inner.remote_permanent_pubkey,
            is_initiator=inner.is_initiator,
        )
        records = cast(NoiseTransportReadWriter, inner.conn)
        ciphers = cast(Any, records.noise_state.noise_protocol)
        sending, receiving = ciphers.cipher_state_encrypt, ciphers.cipher_state_decrypt
        self._sealer = RecordSealer(sending.cipher.cipher, sending.n)
        self._opener = RecordOpener(receiving.cipher.cipher, receiving.n)
        self._raw = cast(RawConnection, records.read_writer.read_write_closer)
        self._socket = cast(TrioTCPStream, self._raw.stream).stream
        self._plain = b""
        self.peer = peer

    @property
    def is_dialer(self) -> bool:
        return self.is_initiator

    async def send(self, plain: bytes) -> None:
        await self._socket.send_all(self._sealer.seal(plain))

    async def receive(self) -> bytes:
        plain, self._plain = self._plain, b""
        while not plain:
            data = await self._socket.receive_some(SOCKET_READ_BYTES)
            if not data:
                return b""
            plain = self._opener.feed(bytes(data))
        return plain

    def abort(self) -> None:
        self._socket.socket.close()

    # What follows serves libp2p, until the muxer is negotiated.

    async def read(self, n: int | None = None) -> bytes:
        wanted = n if n is not None and n >= 0 else 1
        while len(self._plain) < wanted:
            held, self._plain = self._plain, b""
            more = await self.receive()
            if not more:
                raise ConnectionClosedError("the peer closed the connection")
            self._plain = held + more
        taken = len(self._plain) if n is None or n < 0 else n
        plain, self._plain = self._plain[:taken], self._plain[taken:]
        return plain

    async def write(self, data: bytes) -> None:
        await self.send(data)

    async def close(self) -> None:
        self.abort()
        await trio.lowlevel.checkpoint()

    def get_remote_address(self) -> tuple[str, int] | None:
        return self._raw.get_remote_address()

    def get_transport_addresses(self) -> list[Multiaddr]:
        return self._raw.get_transport_addresses()

    def get_connection_type(self) -> ConnectionType:
        return self._raw.get_connection_type()


class _GatedNoise(ISecureTransport):
    """Shake hands by Noise, then ask the roster; libp2p's own gate knows addresses only."""

    def __init__(self, keys: KeyPair, allow: Callable[[PeerId], bool]) -> None:
        self._noise = NoiseTransport(keys, noise_privkey=create_x25519_key_pair().private_key)
        self._allow = allow

    async def secure_inbound(self, conn: IRawConnection) -> ISecureConn:
        return self._admit(await self._noise.secure_inbound(conn))

    async def secure_outbound(self, conn: IRawConnection, peer_id: ID) -> ISecureConn:
        return self._admit(await self._noise.secure_outbound(conn, peer_id))

    def _admit(self, session: ISecureConn) -> ISecureConn:
        peer = decode_libp2p_id(session.get_remote_peer())
        if peer is None or not self._allow(peer):
            raise HandshakeFailure(f"{session.get_remote_peer()} is not in the roster")
        return _Session(cast(SecureSession, session), peer)


class _MuxedStream(IMuxedStream):
    """Show a `Pipe` to libp2p."""

    muxed_conn: "_MuxedConn"

    def __init__(self, muxed_conn: "_MuxedConn", pipe: Pipe) -> None:
        self.muxed_conn = muxed_conn
        self.pipe = pipe

    async def read(self, n: int | None = None) -> bytes:
        try:
            data = await self.pipe.read(n if n is not None and n >= 0 else SOCKET_READ_BYTES)
        except StreamReset as error:
            raise MuxedStreamReset(str(error)) from None
        if not data and n != 0:
            raise MuxedStreamEOF("the peer has closed its side")
        return data

    async def write(self, data: bytes) -> None:
        try:
            await self.pipe.write(data)
        except StreamReset as error:
            raise MuxedStreamReset(str(error)) from None
        except StreamClosed as error:
            raise MuxedStreamClosed(str(error)) from None

    async def close(self) -> None:
        self.pipe.close()
        await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        self.pipe.reset()
        await trio.lowlevel.checkpoint()

    def set_deadline(self, ttl: int) -> None:
        raise NotImplementedError("use a trio timeout")

    def get_remote_address(self) -> tuple[str, int] | None:
        return self.muxed_conn.get_remote_address()

    async def __aenter__(self) -> "_MuxedStream":
        return self


def pipe_of(stream: INetStream) -> Pipe:
    """Find the pipe under a stream that libp2p has wrapped."""
    return cast(_MuxedStream, cast(NetStream, stream).muxed_stream).pipe


class _MuxedConn(IMuxedConn):
    """Show a `Connection` to libp2p; the swarm hangs its own attributes on it, `on_close` among them."""

    def __init__(self, session: _Session, peer_id: ID, keepalive: Keepalive, limits: MuxLimits) -> None:
        self.secured_conn = session
        self.peer_id = peer_id
        self.connection = Connection(session, keepalive, limits)
        self.event_started = self.connection.started
        self.on_close: Callable[[], Awaitable[None]] | None = None

    @property
    def is_initiator(self) -> bool:
        return self.connection.is_dialer

    @property
    def is_established(self) -> bool:
        return self.event_started.is_set() and not self.is_closed

    @property
    def is_closed(self) -> bool:
        return self.connection.closed.is_set()

    async def start(self) -> None:
        try:
            await self.connection.run()
        finally:
            if self.on_close is not None:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
                    await self.on_close()

    async def close(self) -> None:
        await self.connection.close()

    async def open_stream(self) -> IMuxedStream:
        try:
            return _MuxedStream(self, self.connection.open_stream())
        except ConnectionLost as error:
            raise MuxedConnUnavailable(str(error)) from None

    async def accept_stream(self) -> IMuxedStream:
        try:
            return _MuxedStream(self, await self.connection.accept_stream())
        except ConnectionLost as error:
            raise MuxedConnUnavailable(str(error)) from None

    def get_remote_address(self) -> tuple[str, int] | None:
        return self.secured_conn.get_remote_address()

    def get_transport_addresses(self) -> list[Multiaddr]:
        return self.secured_conn.get_transport_addresses()

    def get_connection_type(self) -> ConnectionType:
        return self.secured_conn.get_connection_type()


class _Muxers(MuxerMultistream):
    """Negotiate `/yamux/1.0.0` and put our muxer there; libp2p takes its own class whatever it is told."""

    def __init__(self, keepalive: Keepalive, limits: MuxLimits) -> None:
        super().__init__({TProtocol(YAMUX_ID): _MuxedConn}, NEGOTIATION_S)
        self._keepalive = keepalive
        self._limits = limits

    async def new_conn(self, conn: ISecureConn, peer_id: ID) -> IMuxedConn:
        protocol, _ = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        muxed = _MuxedConn(cast(_Session, conn), peer_id, self._keepalive, self._limits)
        return self._annotate_connection(muxed, conn, protocol)


class _Listener(IListener):
    """Listen on a port that nobody shares, in the swarm's nursery.

    libp2p's own sets SO_REUSEPORT, so that two daemons with one key steal each other's peers in silence; and
    it serves from a system task, so that the port goes on accepting after the host is gone.
    """

    background_nursery: trio.Nursery

    def __init__(self, handler: THandler) -> None:
        self._handler = handler
        self._listeners: list[trio.SocketListener] = []

    async def listen(self, maddr: Multiaddr) -> None:
        host, port = _place_of(maddr)
        try:
            self._listeners = list(await trio.open_tcp_listeners(port, host=host))
        except OSError as error:
            raise OpenConnectionError(str(error)) from error
        self.background_nursery.start_soon(trio.serve_listeners, self._serve, self._listeners)

    async def _serve(self, stream: trio.SocketStream) -> None:
        await self._handler(TrioTCPStream(stream))

    def get_addrs(self) -> tuple[Multiaddr, ...]:
        return tuple(_multiaddr(*listener.socket.getsockname()[:2]) for listener in self._listeners)

    async def close(self) -> None:
        for listener in self._listeners:
            listener.socket.close()
        await trio.lowlevel.checkpoint()


class _Tcp(TCP):
    async def dial(self, maddr: Multiaddr) -> IRawConnection:
        with trio.fail_after(CONNECT_S):
            return await super().dial(maddr)

    def create_listener(self, handler_function: THandler) -> IListener:  # type: ignore[override]
        return _Listener(handler_function)


class _IdleConnector(AutoConnector):
    """Dial nobody: `links.py` knows whom to dial."""

    async def start(self) -> None:
        return None


class _Swarm(Swarm):
    """Own the connections; a slot is free again when its connection ends, and strangers get few of them."""

    doorstep: Doorstep

    def _init_connection_management(self) -> None:
        super()._init_connection_management()
        self.auto_connector = _IdleConnector(self)

    def muxed_conns(self) -> list[_MuxedConn]:
        return [cast(_MuxedConn, conn.muxed_conn) for conn in self.get_connections()]

    async def add_conn(self, muxed_conn: IMuxedConn, direction: str = "unknown") -> SwarmConn:
        for conn in self.get_connections(muxed_conn.peer_id):
            if conn.muxed_conn is not muxed_conn:
                cast(_MuxedConn, conn.muxed_conn).connection.abort("replaced by a newer connection")
        return await super().add_conn(muxed_conn, direction)

    async def _do_handle_inbound_connection(
        self, read_write_closer: ReadWriteCloser, maddr: Multiaddr, failure_event: SwarmEvent
    ) -> None:
        """Hold the inbound slot until the connection ends; libp2p holds it until the swarm ends."""
        ip = _ip_of(cast(TrioTCPStream, read_write_closer).stream)
        if not self.doorstep.enter(ip, trio.current_time()):
            await read_write_closer.close()
            return
        try:
            muxed = await self.upgrade_inbound_raw_conn(RawConnection(read_write_closer, False), maddr)
        except Exception as error:
            log.debug("an inbound connection from %s failed: %s", ip, error)
            await read_write_closer.close()
            return
        finally:
            self.doorstep.leave(ip)
        await cast(_MuxedConn, muxed).connection.closed.wait()


class _GuardedHost(BasicHost):
    """Serve streams without letting a fault out, and without asking peers who they are: the roster knows."""

    on_fault: FaultHook

    async def _swarm_stream_handler(self, net_stream: INetStream) -> None:
        try:
            await super()._swarm_stream_handler(net_stream)
        except* Exception as group:
            peer = decode_libp2p_id(net_stream.muxed_conn.peer_id)
            assert peer is not None, "the gate admits secp256k1 peers only"
            self.on_fault(peer, group)
            pipe_of(net_stream).reset()

    def _schedule_identify(self, peer_id: ID, *, reason: str) -> None:
        return None

    async def _push_identify_to_all_peers(self) -> None:
        return None


class Host:
    """Own this node's libp2p identity, its listening port and its connections.

    Args:
        secret: private key of the node's network identity, 32 bytes.
        allow: the roster gate; asked once for each connection, right after the handshake.
    """

    def __init__(
        self,
        secret: bytes,
        allow: Callable[[PeerId], bool],
        *,
        keepalive: Keepalive | None = None,
        limits: MuxLimits | None = None,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        _tame_logs()
        keys = create_new_key_pair(secret)
        self.me = PeerId(keys.public_key.to_bytes())
        self.faults = 0
        """Faults of peers that a handler did not expect."""
        libp2p_id = encode_libp2p_id(self.me)
        upgrader = TransportUpgrader({NOISE_ID: _GatedNoise(keys, allow)}, {})
        upgrader.muxer_multistream = _Muxers(keepalive or Keepalive(), limits or MuxLimits())
        peers = PeerStore()
        peers.add_key_pair(libp2p_id, keys)
        self._swarm = _Swarm(
            libp2p_id,
            peers,
            upgrader,
            [_Tcp()],
            retry_config=RetryConfig(max_retries=0),
            connection_config=ConnectionConfig(
                max_connections=connections_max,
                min_connections=0,
                low_watermark=0,
                high_watermark=connections_max,
                inbound_upgrade_timeout=HANDSHAKE_S,
                outbound_upgrade_timeout=HANDSHAKE_S,
                inbound_stream_protocol_negotiation_timeout=NEGOTIATION_S,
                outbound_stream_protocol_negotiation_timeout=NEGOTIATION_S,
            ),
        )
        self._swarm.doorstep = Doorstep()
        self._host = _GuardedHost(self._swarm, disable_identify_address_discovery=True)
        self._host.on_fault = self._on_fault

    @property
    def addresses(self) -> tuple[Address, ...]:
        """List where this node listens, with real ports."""
        return tuple(Address(*_place_of(maddr)) for maddr in self._host.get_transport_addrs())

    @property
    def connections(self) -> tuple[Connection, ...]:
        """List the live connections."""
        return tuple(muxed.connection for muxed in self._swarm.muxed_conns())

    @property
    def inbound_slots_free(self) -> int:
        """Count the inbound connections that would still be taken."""
        return int(self._swarm._inbound_limiter.available_tokens)

    @property
    def libp2p_host(self) -> BasicHost:
        """Lend the libp2p host to `gossip.py`, and to nobody else."""
        return self._host

    def handle(self, protocol: str, handler: Handler) -> None:
        """Serve the streams that peers open for `protocol`; our side closes when the handler is done."""

        async def serve(net_stream: INetStream) -> None:
            pipe = pipe_of(net_stream)
            try:
                await handler(pipe)
            except (StreamReset, StreamClosed):
                return  # the peer or the connection has gone, as they may
            except BaseException:
                pipe.reset()
                raise
            pipe.close()

        self._host.set_stream_handler(TProtocol(protocol), serve)

    async def dial(self, peer: PeerId, address: Address) -> Connection:
        """Open an authenticated connection; every IP address behind the host name is tried.

        Raises:
            DialFailed: nobody answered within HANDSHAKE_S, or somebody else did.
        """
        try:
            with trio.fail_after(HANDSHAKE_S):
                places = await _resolve(address)
        except (trio.TooSlowError, OSError) as error:
            raise DialFailed(f"{address.host} has no address: {error}") from None
        failure: Exception | None = None
        for place in places:
            try:
                with trio.fail_after(HANDSHAKE_S):
                    dialled = await self._swarm.dial_addr(place, encode_libp2p_id(peer))
                return cast(_MuxedConn, dialled.muxed_conn).connection
            except Exception as error:  # libp2p lets through whatever the other side provoked
                failure = error
        raise DialFailed(f"{address.host}:{address.port} did not answer as the peer: {failure!r}")

    async def open_stream(self, connection: Connection, protocol: str) -> Pipe:
        """Open a stream and agree on its protocol.

        Raises:
            DialFailed: the connection is over, or the peer does not serve the protocol.
        """
        try:
            pipe = connection.open_stream()
        except ConnectionLost as error:
            raise DialFailed(str(error)) from None
        muxed = next(muxed for muxed in self._swarm.muxed_conns() if muxed.connection is connection)
        stream = MultiselectCommunicator(_MuxedStream(muxed, pipe))
        try:
            with trio.fail_after(NEGOTIATION_S):
                await MultiselectClient().select_one_of([TProtocol(protocol)], stream, NEGOTIATION_S)
        except Exception as error:
            pipe.reset()
            raise DialFailed(f"the peer does not serve {protocol}: {error!r}") from None
        except BaseException:
            pipe.reset()
            raise
        return pipe

    async def run(
        self,
        listen: Sequence[Address],
        *,
        task_status: Started = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen and serve until cancelled; reports the real addresses when ready. Runs once.

        Raises:
            OperationError: an address cannot be listened on (net.listen).
        """
        wanted = [place for address in listen for place in await _resolve(address)]
        try:
            async with self._host.run(wanted):
                try:
                    if len(self._swarm.listeners) == len(set(map(str, wanted))):
                        task_status.started(self.addresses)
                        await trio.sleep_forever()
                finally:
                    with trio.CancelScope(shield=True):
                        await self._shut()
        finally:
            with trio.CancelScope(shield=True):
                await self._shut()
        missing = ", ".join(str(place) for place in wanted if str(place) not in self._swarm.listeners)
        raise OperationError(
            "net.listen",
            f"The node cannot listen on {missing or 'its address'}.",
            "The port is taken by another program, or the address is not of this machine.",
            "Stop the other program, or set another listen address in the configuration.",
        )

    async def _shut(self) -> None:
        for connection in self.connections:
            connection.abort("the node stops")
        self._swarm.connections.clear()
        await self._host.close()

    def _on_fault(self, peer: PeerId, error: Exception) -> None:
        self.faults += 1
        log.warning("a fault of peer %s was stopped: %r", format_peer_id(peer), error)


def _multiaddr(host: str, port: int) -> Multiaddr:
    return Multiaddr(f"/ip{ipaddress.ip_address(host).version}/{host}/tcp/{port}")


def _place_of(maddr: Multiaddr) -> tuple[str, int]:
    _, _, host, _, port = str(maddr).split("/")[:5]
    return host, int(port)


def _ip_of(stream: trio.SocketStream) -> str:
    """Read where a connection comes from; libp2p's own way knows IPv4 only."""
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:  # gone already
        return ""


async def _resolve(address: Address) -> list[Multiaddr]:
    found = await trio.socket.getaddrinfo(address.host, address.port, type=trio.socket.SOCK_STREAM)
    return list(dict.fromkeys(_multiaddr(str(info[4][0]), int(info[4][1])) for info in found))


def _tame_logs() -> None:
    """Let libp2p report nothing by itself: it logs failed dials as errors, and past our own handlers."""
    libp2p_log = logging.getLogger("libp2p")
    libp2p_log.setLevel(logging.CRITICAL)
    if not libp2p_log.handlers:
        libp2p_log.addHandler(logging.NullHandler())  # or Python's last resort prints them
