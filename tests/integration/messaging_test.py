"""What an application may rely on: delivery, order, addressing, limits, and losses that are never silent."""

import base64
import threading
import time

import grpc

import harness
import proxy
import traffic
from harness import DEAD, figure
from peermesh.v1 import message_pb2, messaging_pb2, messaging_pb2_grpc

MAX_MESSAGE = 1 << 20
LEADING_WILDCARDS = 1024
SUBSCRIPTIONS = 16384

Message, Header = message_pb2.Message, message_pb2.Header
Request, Subscription = messaging_pb2.ExchangeRequest, messaging_pb2.Subscription
Code = grpc.StatusCode


def id_bytes(peer):
    text = peer.id.upper()
    return base64.b32decode(text + "=" * (-len(text) % 8))


def message_of_size(subject, size):
    """A Message of exactly that many bytes on the wire."""
    message = Message(subject=subject, payload=b"x" * (size - len(subject) - 16))
    message.payload += b"x" * (size - message.ByteSize())
    assert message.ByteSize() == size
    return message


class Messaging(harness.MeshTest):
    def subscribe(self, peer, *subjects, **fields):
        return self.keep(peer.subscribe(*subjects, **fields))

    def exchange(self, peer, *subjects, **fields):
        return self.keep(peer.exchange(*subjects, **fields))

    # Delivery.

    def test_a_message_reaches_every_matching_subscription_as_it_was_sent(self):
        peers = (self.alpha, self.beta, self.gamma)
        streams = [self.subscribe(peer, "whole.message") for peer in peers]
        sent = Message(subject="whole.message", payload=bytes(range(256)), reply_to="whole.answer",
                       headers=[Header(key="k", value="v"), Header(key="k", value="ü")], content_type="text/plain")
        response = self.alpha.publish(sent)
        self.assertEqual(response.interested_peers, 3)
        self.assertEqual(list(response.unreachable_peers), [])
        for stream in streams:
            got, = stream.wait_messages(1)
            self.assertEqual(got.message, sent)
            self.assertEqual(got.origin, id_bytes(self.alpha))
            self.assertEqual(got.channel, response.numbers[0].channel)
            self.assertEqual(got.sequence, response.numbers[0].first)
            run = stream.frames[-1][1].deliveries[0]
            self.assertEqual(run.origin_name, "alpha")
            self.assertLess(abs(run.publish_time_us / 1e6 - time.time()), 10)

    def test_the_star_stands_for_one_token_and_the_arrow_for_the_rest(self):
        stream = self.subscribe(self.beta, "wild.*.x", "wild.rest.>", "*.leading.token")
        wanted = ["wild.a.x", "wild.rest.1", "wild.rest.1.2", "some.leading.token"]
        unwanted = ["wild.a.b.x", "wild.x", "wild.rest", "leading.token", "wild.a.X"]
        for subject in [*unwanted, *wanted]:
            self.alpha.publish((subject, b""))
        stream.wait_messages(len(wanted))
        self.assertEqual([got.message.subject for got in stream.arrived], wanted)

    def test_a_message_that_matches_several_subscriptions_comes_once_with_all_their_ids(self):
        stream = self.subscribe(self.beta, "multi.>", "multi.*", "multi.one", "other.>")
        self.alpha.publish(("multi.one", b"1"), ("multi.two", b"2"), ("multi.two.deep", b"3"))
        self.assertEqual([got.matched for got in stream.wait_messages(3)], [[1, 2, 3], [1, 2], [1]])

    def test_a_publish_without_a_subscriber_is_accepted_and_says_so(self):
        self.assertEqual(self.alpha.publish(("nobody.listens", b"")).interested_peers, 0)

    def test_an_exchange_publishes_subscribes_and_answers_in_order(self):
        stream = self.exchange(self.alpha, "exchange.>")
        self.assertEqual(stream.welcome.peer_id, self.alpha.id)
        self.assertEqual(stream.welcome.peer_name, "alpha")
        self.assertEqual(stream.welcome.mesh_id, self.alpha.facts["mesh_id"])
        self.assertEqual(stream.welcome.max_message_bytes, MAX_MESSAGE)
        stream.send(Request(publish_id=7, messages=[Message(subject="exchange.a"), Message(subject="exchange.b")]))
        stream.send(Request(publish_id=8, messages=[Message(subject="exchange.bad subject")]))
        stream.send(Request(messages=[Message(subject="exchange.unanswered")]))
        stream.send(Request(ping=42))
        stream.wait(lambda: stream.pongs, 10, "a pong")
        stream.wait_messages(3)
        self.assertEqual(stream.pongs, [42])
        self.assertEqual([published.publish_id for published in stream.published], [7, 8])
        self.assertEqual(stream.published[0].accepted.interested_peers, 1)
        refusal = harness.Refusal.of_status(stream.published[1].error)
        self.assertEqual((refusal.code, refusal.reason, refusal.field),
                         (Code.INVALID_ARGUMENT, "INVALID_SUBJECT", "messages[0].subject"))
        self.assertEqual([got.message.subject for got in stream.arrived],
                         ["exchange.a", "exchange.b", "exchange.unanswered"])

    def test_an_unsubscribed_subject_comes_no_more(self):
        stream = self.exchange(self.beta, "leave.a", "leave.b")
        stream.send(Request(unsubscribe=[1, 99], ping=1))
        stream.wait(lambda: stream.pongs, 10, "a pong")
        self.alpha.publish(("leave.a", b""), ("leave.b", b""))
        stream.wait_messages(1)
        self.assertEqual([got.message.subject for got in stream.arrived], ["leave.b"])

    def test_messages_of_two_publishers_arrive_complete_and_in_the_order_of_each(self):
        each, size = 10_000, 100
        stream = self.subscribe(self.gamma, "order.>", on_overflow=message_pb2.ON_OVERFLOW_BLOCK)
        begin = time.monotonic()

        def publish(peer):
            exchange = self.exchange(peer)
            for first in range(0, each, size):
                exchange.send(Request(publish_id=first + 1, messages=[
                    Message(subject=f"order.{peer.name}", payload=b"%d" % n) for n in range(first, first + size)]))
            exchange.wait(lambda: len(exchange.published) == each // size, 30, "answers to all batches")

        threads = [threading.Thread(target=publish, args=(peer,)) for peer in (self.alpha, self.beta)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stream.wait_messages(2 * each, 30)
        figure("python_two_publishers", 2 * each / (time.monotonic() - begin), "messages/s")
        self.assertEqual(stream.lost, [])
        for peer in (self.alpha, self.beta):
            got = [int(event.message.payload) for event in stream.arrived if event.origin == id_bytes(peer)]
            self.assertEqual(got, list(range(each)))

    # Addressing.

    def test_a_targeted_message_reaches_one_peer_only_by_name_id_or_prefix(self):
        streams = {peer.name: self.subscribe(peer, "direct") for peer in (self.alpha, self.beta, self.gamma)}
        targets = ["beta", self.beta.id, self.beta.id[:8]]
        for target in targets:
            self.assertEqual(self.alpha.publish(("direct", target.encode()), target=target).interested_peers, 1)
        self.alpha.publish(("direct", b"to myself"), target="alpha")
        self.alpha.publish(("direct", b"the end"))
        for name, wanted in (("alpha", [b"to myself"]), ("beta", [t.encode() for t in targets]), ("gamma", [])):
            self.assertEqual([got.message.payload for got in streams[name].wait_messages(len(wanted) + 1)],
                             [*wanted, b"the end"])

    def test_a_target_that_is_unknown_or_not_subscribed_is_an_error(self):
        def send(target):
            return harness.refusal_of(lambda: self.alpha.publish(("direct.unwanted", b""), target=target))

        for target in ("nobody", "zzzzzzzz", self.beta.id[:3]):
            refusal = send(target)
            self.assertEqual((refusal.code, refusal.reason), (Code.NOT_FOUND, "UNKNOWN_PEER"), target)
        refusal = send("beta")
        self.assertEqual((refusal.code, refusal.reason), (Code.FAILED_PRECONDITION, "NO_SUBSCRIBERS"))

    # Limits and bad input.

    def test_a_message_of_one_mebibyte_passes_and_one_more_byte_is_too_much(self):
        stream = self.subscribe(self.gamma, "big.*")
        message = message_of_size("big.fits", MAX_MESSAGE)
        self.alpha.publish(message)
        self.assertEqual(stream.wait_messages(1)[0].message, message)
        fat = message_of_size("big.fat", MAX_MESSAGE + 1)
        refusal = harness.refusal_of(lambda: self.alpha.publish(("big.small", b""), fat))
        self.assertEqual((refusal.code, refusal.reason, refusal.field.partition(".")[0]),
                         (Code.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE", "messages[1]"))
        self.assertIsNone(refusal.retry_after, "trying again would not help")
        self.alpha.publish(("big.end", b""))
        self.assertEqual([got.message.subject for got in stream.wait_messages(2)], ["big.fits", "big.end"])

    def test_one_invalid_subject_refuses_the_batch_and_is_named_by_its_index(self):
        stream = self.subscribe(self.beta, "batch.>")
        for bad in ("batch.*", "batch..x", "", "batch.ä", "batch." + "x" * 260, ".".join("abcdefghijklmnopq")):
            refusal = harness.refusal_of(lambda: self.alpha.publish(("batch.a", b""), ("batch.b", b""), (bad, b"")))
            self.assertEqual((refusal.code, refusal.reason, refusal.field),
                             (Code.INVALID_ARGUMENT, "INVALID_SUBJECT", "messages[2].subject"), bad)
        self.alpha.publish(("batch.end", b""))
        self.assertEqual([got.message.subject for got in stream.wait_messages(1)], ["batch.end"])

    def test_a_batch_of_1024_messages_passes_and_one_more_is_refused(self):
        stream = self.subscribe(self.beta, "many")
        self.alpha.publish(*[("many", b"")] * 1024)
        stream.wait_messages(1024)
        refusal = harness.refusal_of(lambda: self.alpha.publish(*[("many", b"")] * 1025))
        self.assertEqual((refusal.code, refusal.reason), (Code.INVALID_ARGUMENT, "BATCH_TOO_LARGE"))
        refusal = harness.refusal_of(lambda: self.alpha.publish())
        self.assertEqual((refusal.code, refusal.reason), (Code.INVALID_ARGUMENT, "EMPTY_BATCH"))

    def test_bytes_that_are_no_message_are_refused_and_harm_nobody(self):
        raw = self.alpha.channel("app")
        self.addCleanup(raw.close)
        call = raw.unary_unary("/peermesh.v1.MessagingService/Publish")
        for junk in (b"\xff" * 50, b"\x7a\x05abc", b"\x7a\x02\x0a\x05", b"\x0a\x02\xff\xfe\x7a\x03\x0a\x01a"):
            refusal = harness.refusal_of(lambda: call(junk, timeout=5))
            self.assertEqual((refusal.code, refusal.reason), (Code.INVALID_ARGUMENT, "MALFORMED_MESSAGE"), junk)
        self.assertEqual(self.alpha.publish(("still.here", b"")).interested_peers, 0)

    def test_subscriptions_are_limited_in_number_and_in_leading_wildcards(self):
        for patterns, reason in (([f"limit.{n}" for n in range(SUBSCRIPTIONS + 1)], "TOO_MANY_SUBSCRIPTIONS"),
                                 ([f"*.limit{n}" for n in range(LEADING_WILDCARDS + 1)], "TOO_MANY_LEADING_WILDCARDS")):
            with self.subTest(reason):
                stream = self.exchange(self.alpha)
                stream.send(Request(subscribe=[Subscription(id=i, subject=p) for i, p in enumerate(patterns, 1)]))
                refusal = stream.wait_end()
                self.assertEqual((refusal.code, refusal.reason), (Code.RESOURCE_EXHAUSTED, reason))
        self.assertEqual(self.alpha.status().subscriptions, 0, "refused ones leave nothing behind")

    def test_a_pattern_or_id_that_is_wrong_ends_the_stream_with_its_reason(self):
        refusal = harness.refusal_of(lambda: next(self.alpha.messaging.Subscribe(
            messaging_pb2.SubscribeRequest(subjects=["good.*", "bad.>.middle"]))))
        self.assertEqual((refusal.code, refusal.reason, refusal.field),
                         (Code.INVALID_ARGUMENT, "INVALID_PATTERN", "subjects[1]"))
        stream = self.exchange(self.alpha, "twice")
        stream.send(Request(subscribe=[Subscription(id=1, subject="again")]))
        refusal = stream.wait_end()
        self.assertEqual((refusal.code, refusal.reason), (Code.ALREADY_EXISTS, "DUPLICATE_SUBSCRIPTION"))

    # The life of an Exchange.

    def test_a_first_frame_that_is_not_a_hello_ends_the_exchange(self):
        for first in (Request(ping=1), Request(messages=[Message(subject="a")]), Request()):
            stream = self.keep(harness.Messages(self.alpha.messaging.Exchange, first=first))
            refusal = stream.wait_end()
            self.assertEqual((refusal.code, refusal.reason), (Code.INVALID_ARGUMENT, "HELLO_EXPECTED"), first)

    def test_a_second_hello_ends_the_exchange(self):
        stream = self.exchange(self.alpha)
        stream.send(Request(hello=messaging_pb2.ExchangeHello(client="again")))
        refusal = stream.wait_end()
        self.assertEqual((refusal.code, refusal.reason), (Code.INVALID_ARGUMENT, "UNEXPECTED_HELLO"))

    def test_half_closing_ends_publishing_but_not_the_subscriptions(self):
        publishing = self.exchange(self.alpha)
        publishing.send(Request(publish_id=1, messages=[Message(subject="half.last")]))
        publishing.half_close()
        self.assertIsNone(publishing.wait_end(), "an end in good order")
        self.assertEqual([published.publish_id for published in publishing.published], [1])

        subscribing = self.exchange(self.beta, "half.open")
        subscribing.half_close()
        self.alpha.publish(("half.open", b"still here"))
        self.assertEqual(subscribing.wait_messages(1)[0].message.payload, b"still here")
        self.assertFalse(subscribing.ended)

    # Slow subscribers.

    def slow_and_fast(self, subject, on_overflow, **fields):
        """A subscriber on gamma that has stopped reading, and one beside it that reads."""
        slow = self.subscribe(self.gamma, subject, on_overflow=on_overflow, **fields)
        slow.stop_reading()
        fast = self.subscribe(self.gamma, subject)
        return slow, fast

    def flood(self, subject, fast, mebibytes=32, size=16 << 10):
        """Publishes on alpha at the pace of the fast subscriber; returns the numbers given."""
        ranges, sent = {}, 0
        while sent < mebibytes * (1 << 20) // size:
            response = self.alpha.publish(*[(subject, b"x" * size)] * 32)
            sent += 32
            for run in response.numbers:
                first, _ = ranges.get(run.channel, (run.first, 0))
                ranges[run.channel] = (first, run.last)
            fast.wait(lambda: sent - len(fast.arrived) - len(fast.lost) < 128, 20, "the fast subscriber to keep up")
        return ranges

    def test_a_slow_subscriber_loses_only_what_it_is_told_and_its_neighbour_loses_nothing(self):
        slow, fast = self.slow_and_fast("slow.gap", message_pb2.ON_OVERFLOW_GAP)
        dropped = self.gamma.metric("peermesh_dropped_messages_total", reason="slow_subscriber")
        ranges = self.flood("slow.gap", fast)
        fast.wait(lambda: traffic.settled(fast, ranges, id_bytes(self.alpha)), 20, "the fast subscriber to have it all")
        self.assertEqual(traffic.account(self, fast, ranges, id_bytes(self.alpha)), 0)
        slow.read_on()
        slow.wait(lambda: traffic.settled(slow, ranges, id_bytes(self.alpha)), 30, "the slow subscriber to catch up")
        lost = traffic.account(self, slow, ranges, id_bytes(self.alpha))
        figure("slow_subscriber_lost", lost, f"of {sum(b - a + 1 for a, b in ranges.values())} messages")
        self.assertGreater(lost, 0, "the test must overflow the queue")
        self.assertEqual({gap.reason for gap in slow.lost}, {message_pb2.LOSS_REASON_SLOW_SUBSCRIBER})
        now = self.gamma.metric("peermesh_dropped_messages_total", reason="slow_subscriber")
        self.assertGreaterEqual(now - dropped, lost)

    def test_a_slow_subscriber_that_blocks_loses_nothing_and_holds_its_publisher_back(self):
        stream = self.subscribe(self.gamma, "slow.block", on_overflow=message_pb2.ON_OVERFLOW_BLOCK,
                                block_timeout={"seconds": 30})
        stream.stop_reading()
        held = self.alpha.metric("peermesh_publishes_held_total")
        publisher = traffic.Publisher(self.alpha, "slow.block", batch=16, size=16 << 10)

        def standing_still():
            before = publisher.count
            harness.let_pass(0.5)
            return before == publisher.count and before > 0

        harness.wait_for(standing_still, 20, "the publisher to be held back")
        self.assertGreater(self.alpha.metric("peermesh_publishes_held_total"), held)
        stream.read_on()
        publisher.wait_more(100)
        count = publisher.stop()
        stream.wait_messages(count, 30)
        self.assertEqual(traffic.numbers(stream), list(range(count)))
        self.assertEqual(stream.lost, [])

    def test_a_slow_subscriber_that_wants_to_be_closed_is_closed(self):
        slow, fast = self.slow_and_fast("slow.close", message_pb2.ON_OVERFLOW_CLOSE)
        self.flood("slow.close", fast, mebibytes=24)
        slow.read_on()
        refusal = slow.wait_end(20)
        self.assertEqual((refusal.code, refusal.reason), (Code.RESOURCE_EXHAUSTED, "SLOW_CONSUMER"))
        self.assertEqual(fast.lost, [])

    def test_a_slow_subscriber_that_never_reads_again_is_cut_in_the_end(self):
        sessions = self.gamma.metric("peermesh_sessions")
        slow, fast = self.slow_and_fast("slow.never", message_pb2.ON_OVERFLOW_CLOSE)
        self.flood("slow.never", fast, mebibytes=24)
        self.assertFalse(slow.ended)
        harness.wait_for(lambda: self.gamma.metric("peermesh_sessions") == sessions + 1, 30,
                         "its session to go, ten seconds for each write")
        self.assertEqual(fast.lost, [])

    def test_a_session_whose_subscriptions_overlap_too_much_is_closed_with_the_reason(self):
        stream = self.exchange(self.beta, *["same.subject"] * 257)
        self.alpha.publish(("same.subject", b""))
        refusal = stream.wait_end()
        self.assertEqual((refusal.code, refusal.reason), (Code.RESOURCE_EXHAUSTED, "TOO_MANY_MATCHES"))

    def test_a_hello_with_anything_beside_it_is_refused_and_nothing_is_lost_silently(self):
        hello = messaging_pb2.ExchangeHello(client="test")
        for first in (Request(hello=hello, ping=1), Request(hello=hello, messages=[Message(subject="a")]),
                      Request(hello=hello, subscribe=[Subscription(id=1, subject="a")])):
            stream = self.keep(harness.Messages(self.alpha.messaging.Exchange, first=first))
            refusal = stream.wait_end()
            self.assertEqual((refusal.code, refusal.reason), (Code.INVALID_ARGUMENT, "HELLO_EXPECTED"), first)


class Changes(harness.MeshTest):
    """Messages while peers come and go."""

    def test_a_newcomer_misses_nothing_from_the_confirmation_of_its_subscription_on(self):
        publisher = traffic.Publisher(self.alpha, "join.news")
        publisher.wait_more(50)
        delta = self.mesh.start("delta", join=self.mesh.token("delta"))
        self.mesh.wait_linked()
        stream = self.keep(delta.subscribe("join.news"))
        confirmed = publisher.count
        self.assertEqual(list(stream.confirmed[0].unconfirmed_peers), [])
        publisher.wait_more(500)
        count = publisher.stop()
        stream.wait(lambda: stream.arrived and int(stream.payloads()[-1]) == count - 1, 15, "the last message")
        got = traffic.numbers(stream)
        self.assertEqual(got, list(range(got[0], count)))
        # A batch may have been on its way while the count was read.
        self.assertLessEqual(got[0], confirmed + publisher.batch)
        self.assertEqual(stream.lost, [])
        self.assertEqual(delta.drain(), 0)
        del self.mesh.all["delta"]

    def test_publishing_goes_on_when_a_subscribers_peer_is_killed(self):
        steady = self.keep(self.beta.subscribe("kill.news"))
        doomed = self.gamma.subscribe("kill.news")
        watch = self.keep(self.alpha.watch()).wait_synced()
        publisher = traffic.Publisher(self.alpha, "kill.news")
        doomed.wait_messages(100)
        at = self.gamma.kill()
        publisher.wait_more(200)
        watch.wait_state("gamma", DEAD, 10, at)
        publisher.wait_more(200)
        count = publisher.stop()
        steady.wait_messages(count)
        self.assertEqual(traffic.numbers(steady), list(range(count)))
        self.assertEqual(steady.lost, [])
        figure("slowest_publish_around_a_kill", publisher.slowest * 1000, "ms")
        refusal = harness.refusal_of(lambda: self.alpha.publish(("kill.news", b""), target="gamma"))
        self.assertEqual((refusal.code, refusal.reason), (Code.UNAVAILABLE, "PEER_UNREACHABLE"))
        # gRPC's client says one or the other, depending on what it was doing when the connection broke.
        self.assertIn(doomed.wait_end().code, (Code.UNAVAILABLE, Code.CANCELLED))
        self.gamma.launch()
        self.mesh.wait_linked()

    def test_a_restarted_origin_is_told_apart_by_its_epoch(self):
        stream = self.keep(self.alpha.subscribe("epoch.*"))
        self.beta.publish(("epoch.first", b""))
        stream.wait_messages(1)
        self.beta.kill()
        self.beta.launch()
        self.mesh.wait_linked()
        # Linked a moment ago: it may not know yet who wants what, and says so.
        harness.wait_for(lambda: self.beta.publish(("epoch.second", b"")).interested_peers, 5, "interest to be known")
        first, second = stream.wait_messages(2)
        self.assertEqual(first.origin, second.origin)
        self.assertGreater(second.epoch, first.epoch)
        self.assertEqual(stream.lost, [])

    def test_a_draining_peer_says_goodbye_to_its_applications(self):
        stream = self.keep(self.gamma.subscribe("drain.*"))
        self.assertEqual(self.gamma.drain(), 0)
        stream.wait_end()
        self.assertEqual(stream.go_away.reason, "DRAINING")
        self.gamma.launch()
        self.mesh.wait_linked()


class BrokenLink(harness.MeshTest):
    """Two peers that reach each other through relays only."""

    @classmethod
    def set_up_mesh(cls):
        cls.relays = [proxy.Proxy(), proxy.Proxy()]
        for relay in cls.relays:
            cls.addClassCleanup(relay.close)
        cls.alpha = cls.mesh.start("alpha", advertise=cls.relays[0].address)
        cls.relays[0].backend = cls.alpha.facts["listen"]
        cls.beta = cls.mesh.peer("beta")
        cls.beta.launch(join=cls.mesh.token("beta"), advertise=cls.relays[1].address)
        cls.relays[1].backend = cls.beta.facts["listen"]
        cls.mesh.wait_linked()

    def test_what_was_published_while_the_link_was_broken_is_announced_as_lost(self):
        stream = self.keep(self.beta.subscribe("broken.>"))
        publisher = traffic.Publisher(self.alpha, "broken.news")
        stream.wait_messages(100)
        for relay in self.relays:
            relay.cut()
        harness.wait_for(lambda: not self.mesh.linked(), 10, "the link to break")
        publisher.wait_more(200)
        for relay in self.relays:
            relay.heal()
        self.mesh.wait_linked(20)
        # Interest is known again when messages come again.
        before = len(stream.arrived)
        publisher.wait_more(100)
        stream.wait_messages(before + 50)
        publisher.stop()
        origin = id_bytes(self.alpha)
        stream.wait(lambda: traffic.settled(stream, publisher.ranges, origin), 15, "the last message")
        lost = traffic.account(self, stream, publisher.ranges, origin)
        self.assertGreaterEqual(lost, 200)
        self.assertEqual({gap.reason for gap in stream.lost}, {message_pb2.LOSS_REASON_LINK_LOST})
        self.assertGreater(self.beta.metric("peermesh_gap_numbers_total", reason="link_lost"), 0)


class RateLimits(harness.MeshTest):
    """Two applications with certificates; the configuration allows each 100 messages a second."""

    @classmethod
    def set_up_mesh(cls):
        limits = {"application_messages": {"per_second": 100, "burst": 200}}
        cls.alpha = cls.mesh.start("alpha", config={"limits": limits})

    def stub(self, name):
        channel = harness.tls_channel(self.alpha, self.mesh.client(name))
        self.addCleanup(channel.close)
        return messaging_pb2_grpc.MessagingServiceStub(channel)

    def test_an_application_over_its_limit_is_refused_until_a_stated_time_and_its_neighbour_is_not(self):
        greedy, modest = self.stub("greedy"), self.stub("modest")
        before = self.alpha.metric("peermesh_publishes_refused_total", reason="rate_limited")
        self.alpha.publish(*[("rate.a", b"")] * 200, stub=greedy)
        refusal = harness.refusal_of(lambda: self.alpha.publish(*[("rate.a", b"")] * 50, stub=greedy))
        self.assertEqual((refusal.code, refusal.reason), (Code.RESOURCE_EXHAUSTED, "RATE_LIMITED"))
        self.assertEqual(refusal.info["limit"], "application_messages")
        self.assertTrue(refusal.quota.startswith("application:"), refusal.quota)
        self.assertGreater(refusal.retry_after, 0)
        self.assertLessEqual(refusal.retry_after, 0.6)
        self.assertEqual(int(refusal.metadata["grpc-retry-pushback-ms"]), round(refusal.retry_after * 1000))
        self.alpha.publish(*[("rate.b", b"")] * 150, stub=modest)
        harness.let_pass(refusal.retry_after)
        self.alpha.publish(*[("rate.a", b"")] * 50, stub=greedy)
        self.assertEqual(self.alpha.metric("peermesh_publishes_refused_total", reason="rate_limited") - before, 1)

    def test_a_refusal_on_an_exchange_leaves_the_stream_open(self):
        stream = self.keep(self.alpha.exchange("rate.c", stub=self.stub("streaming")))
        for number in (1, 2, 3):
            stream.send(Request(publish_id=number, messages=[Message(subject="rate.c")] * 150))
        stream.wait(lambda: len(stream.published) == 3, 10, "three answers")
        first, second, _ = stream.published
        self.assertTrue(first.HasField("accepted"))
        self.assertEqual(harness.Refusal.of_status(second.error).reason, "RATE_LIMITED")
        stream.send(Request(ping=5))
        stream.wait(lambda: stream.pongs, 10, "a pong")
        self.assertFalse(stream.ended)


if __name__ == "__main__":
    harness.main()
