"""Speaks wire protocol 1 with a server, by another implementation of Socket.IO than Node's.

    python3 wire_suite.py --list
    python3 wire_suite.py URL websocket|polling

The first prints the titles as one JSON list; the second runs the cases and prints one line of JSON
for each: {"title", "ok", "error"}. The server must be set up as server-rules.ts says and take tokens
of the form dev:<user>[:<role>[:<permission>,...]]. Needs python3-socketio, python3-websocket and
python3-requests of Debian 12.
"""

import http.client
import json
import os
import sys
import threading
import time
import traceback
import unicodedata
import uuid
from urllib.parse import urlparse

PATIENCE_S = 10
PAGE = 10  # maxPageMessages of server-rules.ts
ORIGIN = 'https://app.example.com'
CASES = []


def case(title):
    def keep(function):
        CASES.append((title, function))
        return function

    return keep


def plain_client():
    """An ordinary client, but that it runs handlers in the order in which packets arrived."""
    import engineio
    import engineio.payload
    import socketio

    # By default this library drops the connection when a poll brings more than 16 packets, of any
    # server that is quicker than that; its own documentation says to raise the number.
    engineio.payload.Payload.max_decode_packets = 1_000

    class InOrder(engineio.Client):
        # The library starts a thread for each packet, so that handlers may overtake each other.
        def _trigger_event(self, event, *args, **kwargs):
            kwargs.pop('run_async', None)
            return super()._trigger_event(event, *args, run_async=False, **kwargs)

    class Client(socketio.Client):
        def _engineio_client_class(self):
            return InOrder

    return Client(reconnection=False, handle_sigint=False)


class Connection:
    """A plain client and all that it has heard, in order; acknowledgements are named ack:<event>."""

    def __init__(self, bench):
        self.bench = bench
        self.arrivals = []
        self.changed = threading.Condition()
        self.sio = plain_client()
        for name in ('connected', 'message', 'closing', 'heartbeat_ack'):
            self.sio.on(name, self.hearing(name))
        self.sio.on('disconnect', lambda: self.note('disconnect', None))
        self.sio.on('connect_error', lambda data=None: self.note('connect_error', data))

    def hearing(self, name):
        return lambda data=None: self.note(name, data)

    def note(self, name, data):
        with self.changed:
            self.arrivals.append((name, data))
            self.changed.notify_all()

    def dial(self, auth):
        import socketio

        try:
            self.sio.connect(
                self.bench.url,
                auth=auth,
                transports=[self.bench.transport],
                wait=False,  # it would sit out its whole time limit where it is refused
            )
        except socketio.exceptions.ConnectionError:
            self.note('connect_error', None)  # not even a transport was opened

    def until(self, condition, what):
        deadline = time.monotonic() + PATIENCE_S
        with self.changed:
            while not condition():
                if not self.changed.wait(deadline - time.monotonic()):
                    names = [name for name, _ in self.arrivals]
                    raise AssertionError(f'waited in vain for {what}; arrived: {names}')

    def heard(self, name, fits=lambda data: True):
        def found():
            return [d for n, d in self.arrivals if n == name and fits(d)]

        self.until(found, name)
        return found()[0]

    def start(self, event, *args):
        """Sends a request; gives a function that waits for its acknowledgement."""
        answered = []

        def acknowledged(*answer):
            with self.changed:
                answered.append(answer[0] if answer else None)
                self.arrivals.append((f'ack:{event}', answered[0]))
                self.changed.notify_all()

        # A tuple is sent as that many arguments, an empty one as none.
        self.sio.emit(event, args if len(args) != 1 else args[0], callback=acknowledged)

        def wait():
            self.until(lambda: answered, f'the acknowledgement of {event}')
            return answered[0]

        return wait

    def request(self, event, *args):
        return self.start(event, *args)()

    def send(self, event, data):
        self.sio.emit(event, data)

    def subscribe(self, topic, **more):
        return self.request('subscribe', {'topic': topic, **more})

    def publish(self, topic, payload, **more):
        return self.request('publish', {'topic': topic, 'payload': payload, **more})

    def messages(self, topic):
        return [d for n, d in self.arrivals if n == 'message' and d['topic'] == topic]

    def received(self, topic, count):
        self.until(lambda: len(self.messages(topic)) >= count, f'{count} messages of {topic}')
        return self.messages(topic)


class Bench:
    def __init__(self, url, transport):
        self.url = url
        self.transport = transport
        self.open = []

    def dial(self, auth):
        connection = Connection(self)
        self.open.append(connection)
        connection.dial(auth)
        return connection

    def connect(self, user=None, role='user', client=None):
        auth = {'token': f'dev:{user or fresh("user")}:{role}', 'protocol': 1}
        if client is not None:
            auth['client'] = client
        connection = self.dial(auth)
        connection.heard('connected')
        return connection

    def close(self):
        for connection in self.open:
            connection.sio.disconnect()
        self.open = []

    def http(self, headers, query='transport=polling'):
        """The status and body of one plain HTTP request; 101 where a WebSocket was opened."""
        address = urlparse(self.url)
        line = http.client.HTTPConnection(address.hostname, address.port, timeout=PATIENCE_S)
        try:
            line.putrequest('GET', f'/socket.io/?EIO=4&{query}', skip_host='Host' in headers)
            for name, value in headers.items():
                line.putheader(name, value)
            line.endheaders()
            answer = line.getresponse()
            return answer.status, '' if answer.status == 101 else answer.read().decode()
        except (ConnectionResetError, http.client.RemoteDisconnected):
            return 0, ''
        finally:
            line.close()


def fresh(prefix):
    return f'{prefix}-{uuid.uuid4().hex[:12]}'


def fresh_topic(rule='open'):
    return f'wire:{rule}:{uuid.uuid4()}'


def same(actual, expected):
    if actual != expected:
        raise AssertionError(f'expected {expected!r}, got {actual!r}')


def within(actual, expected):
    """Every field of `expected` is in `actual`."""
    same({name: actual.get(name) for name in expected}, expected)


def refused(ack, code, retryable=False, **more):
    rest = {k: v for k, v in ack.items() if k not in ('message', 'details', 'retryAfterMs')}
    same(rest, {'status': 'error', 'type': 'error', 'code': code, 'retryable': retryable, **more})
    assert isinstance(ack['message'], str) and ack['message'], ack


def subscribed(ack, topic, seq, seqs, recovered=False, more=False, **other):
    rest = {k: v for k, v in ack.items() if k not in ('epoch', 'messages', 'subscriberCount')}
    expected = {'status': 'success', 'topic': topic, 'seq': seq, 'recovered': recovered}
    same(rest, {**expected, 'more': more, **other})
    assert isinstance(ack['epoch'], str) and isinstance(ack['subscriberCount'], int), ack
    same(seqs_of(ack['messages']), seqs)


def seqs_of(messages):
    return [message['seq'] for message in messages]


def fill(connection, topic, count):
    waits = [connection.start('publish', {'topic': topic, 'payload': n}) for n in range(1, count + 1)]
    acks = [wait() for wait in waits]
    same([ack['seq'] for ack in acks], list(range(1, count + 1)))
    return acks[0]['epoch']


@case('[W1][W3][W20] an ordinary client connects; `connected` comes first and is complete')
def _(bench):
    user = fresh('user')
    client = bench.connect(user, 'tester')
    same(client.sio.transport(), bench.transport)
    client.request('heartbeat', {'timestamp': 1})
    name, data = client.arrivals[0]
    same(name, 'connected')
    same(data['user'], {'userId': user, 'role': 'tester', 'permissions': []})
    same(data['protocol'], 1)
    same(
        set(data) - {'expiresAt'},
        {
            'connectionId', 'user', 'protocol', 'serverTime', 'windowEpoch',
            'heartbeatInterval', 'limits', 'rules',
        },
    )
    same(
        set(data['limits']),
        {
            'maxPayloadBytes', 'idempotencyWindowMs', 'publishesPerSecond', 'publishBurst',
            'publishBytesPerSecond', 'publishBytesBurst', 'requestsPerSecond', 'requestBurst',
            'maxPageMessages',
        },
    )
    same(data['limits']['maxPageMessages'], PAGE)


@case('[W2] a refusal is a connect_error with its data')
def _(bench):
    for auth, code in (
        ({'token': 'nonsense'}, 'unauthenticated'),
        ({}, 'unauthenticated'),
        ({'token': 'dev:alice', 'protocol': 2}, 'protocol_unsupported'),
    ):
        client = bench.dial(auth)
        data = client.heard('connect_error')['data']
        same(set(data), {'code', 'message', 'retryable'})
        same((data['code'], data['retryable']), (code, False))


@case('[W2][W25] a new connection of the same instance replaces its old one, which is kicked')
def _(bench):
    user, client = fresh('user'), {'name': 'python', 'instance': fresh('instance-python')}
    old = bench.connect(user, client=client)
    bystander = bench.connect(fresh('user'), client=client)
    young = bench.connect(user, client=client)
    closing = old.heard('closing')
    same(set(closing), {'code', 'message', 'retryable'})
    same((closing['code'], closing['retryable']), ('kicked', False))
    old.heard('disconnect')
    for live in (young, bystander):
        within(live.request('heartbeat', {'timestamp': 2}), {'status': 'success', 'timestamp': 2})


@case('[W4] a request without a callback is carried out all the same')
def _(bench):
    topic = fresh_topic()
    client = bench.connect()
    client.send('subscribe', {'topic': topic})
    client.send('publish', {'topic': topic, 'payload': 'unasked', 'messageId': 'm1'})
    within(client.received(topic, 1)[0], {'id': 'm1', 'payload': 'unasked', 'seq': 1})


@case('[W5][W8] a refusal has exactly its fields, and returns the messageId')
def _(bench):
    client = bench.connect()
    topic = fresh_topic('read')
    refused(client.publish(topic, 1, messageId='m'), 'permission_denied', messageId='m')
    refused(client.subscribe('a::b'), 'invalid_topic')
    refused(client.request('history', {'topic': 'private:x'}), 'permission_denied')
    refused(client.publish(7, 1, messageId='m'), 'invalid_message', messageId='m')
    refused(client.request('nonsense', {'messageId': 'm'}), 'invalid_message', messageId='m')


@case('[W6][P1] requests to one topic are carried out in the order in which they were sent')
def _(bench):
    topic = fresh_topic()
    client = bench.connect()
    waits = [
        client.start('publish', {'topic': topic, 'payload': 'before'}),
        client.start('subscribe', {'topic': topic}),
        client.start('publish', {'topic': topic, 'payload': 'heard'}),
        client.start('unsubscribe', {'topic': topic}),
        client.start('publish', {'topic': topic, 'payload': 'unheard'}),
        client.start('history', {'topic': topic}),
    ]
    acks = [wait() for wait in waits]
    same([ack.get('seq') for ack in acks], [1, 1, 2, None, 3, 3])
    same([ack.get('deliveredTo') for ack in acks], [0, None, 1, None, 0, None])
    same([message['payload'] for message in client.messages(topic)], ['heard'])
    order = [name for name, _ in client.arrivals if name.startswith('ack:')]
    same(order, ['ack:' + n for n in 'publish subscribe publish unsubscribe publish history'.split()])


@case('[W7] malformed requests are refused and change nothing; the 100th ends the connection')
def _(bench):
    client = bench.connect()
    topic = fresh_topic()
    client.subscribe(topic)
    bad = [
        ('nonsense', ({},)),
        ('subscribe', ()),
        ('subscribe', ('x',)),
        ('subscribe', ({'topic': topic}, {})),
        ('subscribe', ({'topic': topic, 'since': 3},)),
        ('publish', ({'topic': topic},)),
        ('history', ({'topic': topic, 'limit': 0},)),
        ('heartbeat', ({'timestamp': 'now'},)),
    ]
    for event, args in bad:
        refused(client.request(event, *args), 'invalid_message')
    for _ in range(99 - len(bad)):
        client.send('nonsense', 1)
    within(client.publish(topic, 'alive'), {'seq': 1, 'deliveredTo': 1})
    client.send('nonsense', 1)
    closing = client.heard('closing')
    same(set(closing), {'code', 'message', 'retryable', 'retryAfterMs'})
    within(closing, {'code': 'invalid_message', 'retryable': True, 'retryAfterMs': 10_000})
    client.heard('disconnect')


@case('[W8] messageId comes back with every answer')
def _(bench):
    client = bench.connect()
    topic = fresh_topic()
    for event, data in (
        ('subscribe', {'topic': topic}),
        ('publish', {'topic': topic, 'payload': 1}),
        ('history', {'topic': topic}),
        ('unsubscribe', {'topic': topic}),
        ('heartbeat', {'timestamp': 1}),
    ):
        ack = client.request(event, {**data, 'messageId': f'id-{event}'})
        within(ack, {'status': 'success', 'messageId': f'id-{event}'})


@case('[W9] a foreign Origin is refused, polling with 403, WebSocket not opened')
def _(bench):
    upgrade = {
        'Connection': 'Upgrade', 'Upgrade': 'websocket',
        'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    }
    own = urlparse(bench.url)
    for headers in ({}, {'Origin': f'http://{own.netloc}'}, {'Origin': ORIGIN}):
        status, body = bench.http(headers)
        same((status, body[:8]), (200, '0{"sid":'))
        same(bench.http({**upgrade, **headers}, 'transport=websocket')[0], 101)
    for headers in (
        {'Origin': 'https://evil.example'},
        {'Origin': 'null'},
        {'Origin': f'{ORIGIN}.evil.example'},
        {'Host': 'evil.example'},
    ):
        status, body = bench.http(headers)
        assert status == 403 and 'sid' not in body, (headers, status, body)
        status, _ = bench.http({**upgrade, **headers}, 'transport=websocket')
        assert status in (0, 400, 403), (headers, status)


@case('[W10][P2] since gives what was missed page by page, and joins the live flow exactly')
def _(bench):
    topic = fresh_topic()
    client, publisher = bench.connect(), bench.connect()
    epoch = fill(publisher, topic, 2 * PAGE + 1)
    seqs, seq, more = [], 0, True
    while more:
        page = client.subscribe(topic, since={'epoch': epoch, 'seq': seq})
        subscribed(
            page, topic, page['seq'], list(range(seq + 1, page['seq'] + 1)),
            recovered=True, more=page['more'],
        )
        seqs += seqs_of(page['messages'])
        seq, more = page['seq'], page['more']
        if more:
            within(publisher.publish(topic, 'meanwhile'), {'deliveredTo': 0})
    within(publisher.publish(topic, 'live'), {'deliveredTo': 1})
    client.received(topic, 1)
    seqs += seqs_of(client.messages(topic))
    same(seqs, list(range(1, 2 * PAGE + 5)))


@case('[W10][P3] gaps: expired, another epoch, ahead of the head')
def _(bench):
    topic = fresh_topic('short')
    client = bench.connect()
    epoch = fill(client, topic, 8)
    rest = {'topic': topic, 'seq': 8, 'seqs': [4, 5, 6, 7, 8]}

    def gap(first, last, reason):
        return {'from': first, 'to': last, 'epoch': epoch, 'reason': reason}

    def since(at, seq):
        return client.subscribe(topic, since={'epoch': at, 'seq': seq})

    subscribed(since(epoch, 1), **rest, gap=gap(2, 3, 'expired'))
    subscribed(since('another', 1), **rest, gap=gap(None, 3, 'epoch_changed'))
    subscribed(since(epoch, 9), **rest, gap=gap(None, 3, 'epoch_changed'))
    subscribed(since(epoch, 3), **rest, recovered=True)


@case('[W10] rewind, a repeated subscribe, and a batch with refusals among its answers')
def _(bench):
    topic, other = fresh_topic(), fresh_topic()
    client = bench.connect()
    fill(client, topic, 3)
    subscribed(client.subscribe(topic, rewind=2), topic, 3, [2, 3])
    subscribed(client.subscribe(topic), topic, 3, [])
    within(client.publish(topic, 4), {'seq': 4, 'deliveredTo': 1})
    batch = client.request(
        'subscribe',
        {
            'topics': [
                {'topic': other, 'messageId': 'm0'},
                {'topic': 'private:x', 'messageId': 'm1'},
                {'topic': 'a::b'},
                {'topic': topic, 'rewind': 1},
            ]
        },
    )
    same(set(batch), {'status', 'results'})
    results = batch['results']
    same(len(results), 4)
    subscribed(results[0], other, 0, [], messageId='m0')
    refused(results[1], 'permission_denied', topic='private:x', messageId='m1')
    refused(results[2], 'invalid_topic', topic='a::b')
    subscribed(results[3], topic, 4, [4])
    client.publish(topic, 5)
    client.until(lambda: 5 in seqs_of(client.messages(topic)), 'the fifth message')
    same(seqs_of(client.messages(topic)), [4, 5])
    many = [{'topic': f'{topic}:{n}'} for n in range(101)]
    refused(client.request('subscribe', {'topics': many}), 'invalid_message')


@case('[W11] unsubscribe is acknowledged, and nothing of the topic comes after it')
def _(bench):
    topic, sentinel = fresh_topic(), fresh_topic()
    client, publisher = bench.connect(), bench.connect()
    same(client.request('unsubscribe', {'topic': topic}), {'status': 'success', 'topic': topic})
    client.request('subscribe', {'topics': [{'topic': topic}, {'topic': sentinel}]})
    flood = [publisher.start('publish', {'topic': topic, 'payload': n}) for n in range(50)]
    flood[10]()
    same(client.request('unsubscribe', {'topic': topic}), {'status': 'success', 'topic': topic})
    heard = len(client.messages(topic))
    for wait in flood:
        wait()
    publisher.publish(sentinel, 'end')
    client.received(sentinel, 1)
    same(len(client.messages(topic)), heard)


@case('[W12][P4] publish is idempotent; another payload is id_conflict; `after` keeps the order')
def _(bench):
    topic = fresh_topic()
    client = bench.connect()
    client.subscribe(topic)
    first = client.publish(topic, {'n': 1}, messageId='once')
    same(
        {k: v for k, v in first.items() if k not in ('epoch', 'windowMs')},
        {
            'status': 'success', 'messageId': 'once', 'topic': topic, 'seq': 1,
            'deliveredTo': 1, 'duplicate': False,
        },
    )
    same(client.publish(topic, {'n': 1}, messageId='once'), {**first, 'duplicate': True})
    refused(client.publish(topic, {'n': 2}, messageId='once'), 'id_conflict', messageId='once')
    refused(client.publish(topic, 3, after='unknown'), 'out_of_order', retryable=True)
    within(client.publish(topic, 2, messageId='next', after='once'), {'seq': 2})
    same(seqs_of(client.received(topic, 2)), [1, 2])
    too_large = client.publish(topic, 'x' * 65_535)
    refused(too_large, 'payload_too_large')
    refused(client.publish(topic, {'a': b'bytes'}), 'validation_failed')
    refused(client.publish(topic, {'a': {'_placeholder': True}}), 'validation_failed')


@case('[W13] history: the newest, before, since, both, and its gaps')
def _(bench):
    topic, short = fresh_topic(), fresh_topic('short')
    client = bench.connect()
    epoch = fill(client, topic, 6)

    def ask(**query):
        page = client.request('history', {'topic': topic, **query})
        within(page, {'status': 'success', 'topic': topic, 'epoch': epoch, 'seq': 6})
        return seqs_of(page['messages']), page['more'], page.get('gap')

    since = {'epoch': epoch, 'seq': 2}
    same(ask(), ([1, 2, 3, 4, 5, 6], False, None))
    same(ask(limit=2), ([5, 6], True, None))
    same(ask(before=4, limit=2), ([2, 3], True, None))
    same(ask(before={'epoch': epoch, 'seq': 3}), ([1, 2], False, None))
    same(ask(since=since, limit=2), ([3, 4], True, None))
    same(ask(since=since), ([3, 4, 5, 6], False, None))
    same(ask(since=since, before=5), ([3, 4], False, None))
    changed = {'from': None, 'to': None, 'epoch': epoch, 'reason': 'epoch_changed'}
    same(ask(before={'epoch': 'another', 'seq': 3}, limit=1), ([6], True, changed))
    epoch = fill(client, short, 7)
    page = client.request('history', {'topic': short, 'since': {'epoch': epoch, 'seq': 0}})
    same(page['gap'], {'from': 1, 'to': 2, 'epoch': epoch, 'reason': 'expired'})
    same(seqs_of(page['messages']), [3, 4, 5, 6, 7])


@case('[W15] a heartbeat is acknowledged, and answered by an event')
def _(bench):
    client = bench.connect()
    ack = client.request('heartbeat', {'timestamp': 12.5})
    same(set(ack), {'status', 'timestamp', 'serverTime'})
    same((ack['status'], ack['timestamp']), ('success', 12.5))
    event = client.heard('heartbeat_ack')
    same(set(event), {'timestamp', 'serverTime'})
    same(event['timestamp'], 12.5)


@case('[W21][T1] a message has exactly its fields, text of any script, and a normalised topic')
def _(bench):
    topic, user = fresh_topic(), fresh('user')
    sender, reader = bench.connect(user), bench.connect()
    spelled = unicodedata.normalize('NFD', topic + ':café')
    normal = unicodedata.normalize('NFC', spelled)
    within(reader.subscribe(spelled), {'topic': normal})
    payload = {'text': 'héllo 世界 😀', '__proto__': {'a': None}, 'list': [1.5, True]}
    ack = sender.publish(normal, payload, messageId='m1')
    message = dict(reader.received(normal, 1)[0])
    assert isinstance(message.pop('timestamp'), int), message
    same(
        message,
        {
            'type': 'event', 'topic': normal, 'id': 'm1', 'seq': 1, 'epoch': ack['epoch'],
            'payload': payload, 'from': user,
        },
    )


def run(url, transport):
    for title, function in CASES:
        bench = Bench(url, transport)
        error = None
        try:
            function(bench)
        except Exception:  # whatever goes wrong in a case is that case's result
            error = traceback.format_exc()
        finally:
            bench.close()
        print(json.dumps({'title': title, 'ok': error is None, 'error': error}), flush=True)


if __name__ == '__main__':
    if sys.argv[1:] == ['--list']:
        print(json.dumps([title for title, _ in CASES]))
    elif len(sys.argv) == 3 and sys.argv[2] in ('websocket', 'polling'):
        run(sys.argv[1], sys.argv[2])
        # The library's threads may still sit in a poll of a connection that has ended.
        os._exit(0)
    else:
        sys.exit(__doc__)
