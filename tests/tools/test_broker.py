"""The embedded broker, and the wire that can be taken away."""

import asyncio

import aiomqtt
import pytest

from menwei.broker import EmbeddedBroker, split_url
from menwei.proxy import Proxy

WAIT_S = 5


async def test_two_brokers_at_once_each_on_a_port_of_its_own():
    async with EmbeddedBroker() as one, EmbeddedBroker() as other:
        assert one.port != other.port
        async with aiomqtt.Client("127.0.0.1", one.port) as client:
            await client.subscribe("a/+", qos=1)
            await client.publish("a/b", b"hello", qos=1, retain=True)
            message = await asyncio.wait_for(anext(client.messages), WAIT_S)
            assert (str(message.topic), message.payload) == ("a/b", b"hello")


async def test_stop_closes_the_port_and_may_come_twice():
    broker = EmbeddedBroker()
    await broker.start()
    await broker.stop()
    await broker.stop()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", broker.port)


async def test_stop_with_a_client_connected_does_not_hang():
    broker = EmbeddedBroker()
    await broker.start()
    with pytest.raises(aiomqtt.MqttError):
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            await asyncio.wait_for(broker.stop(), 10)
            await asyncio.wait_for(anext(client.messages), WAIT_S)


@pytest.mark.parametrize(
    ("url", "address"), [("mqtt://localhost", ("localhost", 1883)), ("mqtt://10.0.0.2:1999", ("10.0.0.2", 1999))]
)
def test_addresses(url, address):
    assert split_url(url) == address


@pytest.mark.parametrize("url", ["", "localhost:1883", "http://a", "mqtt://", "mqtt://a:port", "mqtt://a:99999"])
def test_wrong_addresses_say_what_to_write(url):
    with pytest.raises(ValueError, match="mqtt://HOST"):
        split_url(url)


@pytest.fixture
async def echo():
    """A server that sends everything back, and the connections it has seen end."""
    ended = asyncio.Event()

    async def serve(reader, writer):
        try:
            while data := await reader.read(100):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            ended.set()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.ended = ended
    yield server
    server.close()


@pytest.fixture
async def proxy(echo):
    proxy = Proxy(*echo.sockets[0].getsockname())
    await proxy.start()
    yield proxy
    await proxy.stop()


async def _say(proxy, writer, reader):
    writer.write(b"x")
    return await asyncio.wait_for(reader.read(1), 0.3)


async def test_bytes_pass(proxy):
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await _say(proxy, writer, reader) == b"x"
    assert proxy.forwarded == 2
    writer.close()


async def test_away_is_silence_for_the_door_and_an_end_for_the_broker(proxy, echo):
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    await _say(proxy, writer, reader)
    proxy.away()
    with pytest.raises(TimeoutError):
        await _say(proxy, writer, reader)
    await asyncio.wait_for(echo.ended.wait(), WAIT_S)
    late_reader, late = await asyncio.open_connection("127.0.0.1", proxy.port)
    with pytest.raises(TimeoutError):
        await _say(proxy, late, late_reader)
    writer.close()
    late.close()


async def test_back_resets_old_connections_and_takes_new_ones(proxy):
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    await _say(proxy, writer, reader)
    proxy.away()
    proxy.back()
    try:
        ending = await asyncio.wait_for(reader.read(1), WAIT_S)
    except ConnectionError:
        ending = b""
    assert ending == b""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await _say(proxy, writer, reader) == b"x"
    writer.close()


async def test_a_broker_that_is_not_there_is_a_closed_connection():
    proxy = Proxy("127.0.0.1", 1)
    await proxy.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await asyncio.wait_for(reader.read(1), WAIT_S) == b""
    writer.close()
    await proxy.stop()
