"""Who must not get in, what those who are in may do, and that trying harms nobody."""

import contextlib
import pathlib
import random
import socket
import ssl
import threading
import time

import grpc
from google.protobuf import descriptor_pool

import forge
import harness
import traffic
from peermesh.ca.v1 import ca_pb2, ca_pb2_grpc
from peermesh.link.v1 import link_pb2  # noqa: F401 (registers LinkService)
from peermesh.v1 import admin_pb2, messaging_pb2_grpc, peers_pb2  # noqa: F401 (register their services)

Code = grpc.StatusCode
# The attackers have addresses of their own: each address has its own limit of new connections.
MALLORY = "127.0.0.66"
JUNK_CONNECTIONS = 1000


class Handshakes(harness.MeshTest):
    """Against the mesh port, while two peers talk over it."""

    @classmethod
    def set_up_mesh(cls):
        limits = {"handshakes": {"per_second": 2000, "burst": 2000}, "connections": 2048,
                  "connections_per_address": 1024}
        cls.alpha = cls.mesh.start("alpha", config={"limits": limits})
        cls.beta = cls.mesh.start("beta", join=cls.mesh.token("beta"))
        cls.mesh.wait_linked()
        cls.mesh_id = cls.alpha.facts["mesh_id"]
        ca = cls.alpha.dir / "ca"
        cls.ca = forge.Root(cls.mesh.dir / "forged", ca / "root-key.pem", ca / "root.pem")
        cls.impostor = forge.Root(cls.mesh.dir / "impostor")

    def setUp(self):
        super().setUp()
        self.stream = self.keep(self.beta.subscribe("security.traffic"))
        self.publisher = traffic.Publisher(self.alpha, "security.traffic", pause=0.01)
        self.addCleanup(self.publisher.stop)
        self.pid = self.alpha.pid

    def unharmed(self):
        """The daemon is the same process, and every message of the other traffic arrived."""
        self.publisher.wait_more(20)
        count = self.publisher.stop()
        self.stream.wait_messages(count)
        self.assertEqual(traffic.numbers(self.stream), list(range(count)))
        self.assertEqual(self.stream.lost, [])
        self.assertTrue(self.alpha.running)
        self.assertEqual(self.alpha.pid, self.pid)
        self.assertTrue(self.mesh.linked())

    def refusals(self, reason):
        return self.alpha.metric("peermesh_handshakes_refused_total", direction="inbound", reason=reason)

    def incomplete(self, reason="ended"):
        return self.alpha.metric("peermesh_handshakes_incomplete_total", listener="mesh", reason=reason)

    def test_a_certificate_that_is_right_in_every_respect_is_admitted(self):
        # The control for all that follows: what is refused there is refused for its one fault.
        for role, usage in (("peer", "serverAuth,clientAuth"), ("client", "clientAuth"), ("admin", "clientAuth")):
            key, certificate = self.ca.issue(self.mesh_id, role=role, usage=usage)
            self.assertEqual(forge.handshake(self.alpha.facts["listen"], key, certificate, MALLORY), "", role)
        self.unharmed()

    def test_a_certificate_with_one_fault_is_refused_and_counted_by_its_reason(self):
        mesh = self.mesh_id
        other_id = forge.peer_id(self.beta.dir / "identity" / "key.pem")
        faults = [
            ("wrong_ca", "another CA", self.impostor, {}),
            ("wrong_ca", "self-signed with the right names", self.ca, {"self_signed": True}),
            ("expired", "expired", self.ca, {"begin": -10, "end": -0.01}),
            ("not_yet_valid", "not yet valid", self.ca, {"begin": 1}),
            ("key_mismatch", "the id of another peer", self.ca, {"ids": other_id}),
            ("bad_identity", "no identity", self.ca, {"uris": []}),
            ("bad_identity", "two identities", self.ca,
             {"uris": [f"spiffe://{mesh}/peer/{other_id}", f"spiffe://{mesh}/admin/{other_id}"]}),
            ("bad_identity", "another mesh", self.ca, {"mesh_id": "a" * 16}),
            ("bad_identity", "no name", self.ca, {"names": ["localhost"]}),
            ("bad_identity", "a client's usage and a peer's role", self.ca, {"usage": "clientAuth"}),
            ("bad_identity", "an unknown role", self.ca, {"role": "king"}),
            ("wrong_role", "the CA's role", self.ca, {"role": "ca", "usage": "serverAuth"}),
            ("malformed", "a CA certificate", self.ca, {"ca": "TRUE"}),
            ("malformed", "another curve", self.ca, {"key_kind": ("EC", "ec_paramgen_curve:P-384")}),
            ("malformed", "an RSA key", self.ca, {"key_kind": ("RSA", "rsa_keygen_bits:2048")}),
        ]
        for reason, what, root, changes in faults:
            with self.subTest(what):
                key, certificate = root.issue(**{"mesh_id": mesh, **changes})
                before = self.refusals(reason)
                self.assertNotEqual(forge.handshake(self.alpha.facts["listen"], key, certificate, MALLORY), "")
                harness.wait_for(lambda: self.refusals(reason) == before + 1, 5, f"{what} to be counted as {reason}")
        self.unharmed()

    def test_a_connection_without_a_certificate_is_refused(self):
        before = self.refusals("no_certificate")
        self.assertNotEqual(forge.handshake(self.alpha.facts["listen"], source=MALLORY), "")
        harness.wait_for(lambda: self.refusals("no_certificate") == before + 1, 5, "the refusal to be counted")
        self.unharmed()

    def test_tls_1_2_is_refused(self):
        key, certificate = self.ca.issue(self.mesh_id)
        before = self.incomplete("old_tls")
        refusal = forge.handshake(self.alpha.facts["listen"], key, certificate, MALLORY, newest=ssl.TLSVersion.TLSv1_2)
        self.assertIn("protocol version", refusal.lower())
        harness.wait_for(lambda: self.incomplete("old_tls") == before + 1, 5, "the refusal to be counted")
        self.unharmed()

    def test_http_without_tls_is_refused(self):
        before = self.incomplete("not_tls")
        with forge.connect(self.alpha.facts["listen"], MALLORY) as raw:
            raw.sendall(forge.PREFACE)
            self.assertNotEqual(self.read_to_end(raw)[3:4], b"\x04", "no HTTP/2 settings in answer")
        harness.wait_for(lambda: self.incomplete("not_tls") == before + 1, 5, "the refusal to be counted")
        self.unharmed()

    def test_a_thousand_connections_of_random_bytes_are_refused(self):
        def counted():
            # When too many handshakes are under way, one gives way or is refused before a byte is read. A record's
            # head with junk may promise more than comes: it ends incomplete.
            refused = self.alpha.metric("peermesh_connections_refused_total", listener="mesh")
            return refused + sum(self.incomplete(reason) for reason in ("not_tls", "ended", "crowded_out"))

        before, open_before = counted(), self.alpha.metric("peermesh_connections", listener="mesh")
        rng = random.Random(1)
        for number in range(JUNK_CONNECTIONS):
            junk = rng.randbytes(rng.randrange(1, 600))
            if number % 3 == 0:
                junk = b"\x16\x03\x01" + len(junk).to_bytes(2, "big") + junk  # the head of a TLS record
            with contextlib.suppress(ConnectionError):  # refused while we were still talking
                with forge.connect(self.alpha.facts["listen"], f"127.0.0.{70 + number % 20}") as raw:
                    raw.sendall(junk)
        harness.wait_for(lambda: counted() == before + JUNK_CONNECTIONS, 10, "all of them to be counted")
        self.assertGreater(self.incomplete("not_tls"), 0)
        harness.wait_for(lambda: self.alpha.metric("peermesh_connections", listener="mesh") == open_before, 10,
                         "their connections to be gone")
        self.unharmed()

    def test_silent_connections_are_closed_after_the_handshake_time_and_hold_nobody_up(self):
        before = self.incomplete("timeout")
        silent = [forge.connect(self.alpha.facts["listen"], MALLORY) for _ in range(50)]
        begin = time.monotonic()
        try:
            key, certificate = self.ca.issue(self.mesh_id)
            self.assertEqual(forge.handshake(self.alpha.facts["listen"], key, certificate), "")
            for raw in silent:
                self.assertEqual(self.read_to_end(raw), b"")
            took = time.monotonic() - begin
            harness.figure("silent_connection_closed", took, "s", "<= 8")
            self.assertLessEqual(took, 8)
        finally:
            for raw in silent:
                raw.close()
        harness.wait_for(lambda: self.incomplete("timeout") >= before + len(silent), 5, "them to be counted")
        self.unharmed()

    @staticmethod
    def read_to_end(raw):
        data = b""
        try:
            while chunk := raw.recv(4096):
                data += chunk
        except ConnectionResetError:
            pass
        return data


class Expiry(harness.MeshTest):
    """What a certificate permits ends with it."""

    LIFE = 8  # seconds

    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")
        ca = cls.alpha.dir / "ca"
        cls.ca = forge.Root(cls.mesh.dir / "forged", ca / "root-key.pem", ca / "root.pem")

    def test_the_streams_of_a_client_end_when_its_certificate_runs_out(self):
        key, certificate = self.ca.issue(self.alpha.facts["mesh_id"], role="client", usage="clientAuth",
                                         end=self.LIFE / 86400)
        ends = time.monotonic() + self.LIFE
        files = [pathlib.Path(path).read_bytes() for path in (self.alpha.dir / "ca" / "root.pem", key, certificate)]
        channel = harness.open_channel(self.alpha.facts["listen"], grpc.ssl_channel_credentials(*files))
        self.addCleanup(channel.close)
        stub = messaging_pb2_grpc.MessagingServiceStub(channel)
        stream = self.keep(self.alpha.exchange("expiry.news", stub=stub))
        self.assertFalse(stream.ended)
        refusal = stream.wait_end(self.LIFE + 10)  # looked at every five seconds
        self.assertGreaterEqual(time.monotonic(), ends - 1)
        self.assertEqual(refusal.code, Code.UNAVAILABLE)
        self.assertEqual(self.alpha.metric("peermesh_connections_cut_total", listener="mesh"), 1)


class Descriptors(harness.MeshTest):
    """Where few files may be open."""

    @classmethod
    def set_up_mesh(cls):
        cls.mesh.peer("alpha").prefix = ["prlimit", "--nofile=300:1024"]
        cls.alpha = cls.mesh.start("alpha")

    def test_the_permitted_limit_is_used_and_applications_cannot_use_it_up(self):
        self.assertEqual(self.alpha.metric("process_max_fds"), 1024)
        self.assertIn("few open files are permitted", self.alpha.log.read_text())
        refused = self.alpha.metric("peermesh_connections_refused_total", listener="app", reason="total")
        path = self.alpha.facts["app_socket"]
        for _ in range(600):
            raw = socket.socket(socket.AF_UNIX)
            self.addCleanup(raw.close)
            with contextlib.suppress(ConnectionError):
                raw.connect(path)
        harness.wait_for(lambda: self.alpha.metric("peermesh_connections_refused_total", listener="app",
                                                   reason="total") > refused, 5, "connections to be refused")
        self.assertLess(self.alpha.metric("process_open_fds"), 900)
        self.assertTrue(self.alpha.status().peer_id, "the operator still gets in")


class Admission(harness.MeshTest):
    """With the limits everybody has."""

    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")
        cls.beta = cls.mesh.start("beta", join=cls.mesh.token("beta"))
        cls.mesh.wait_linked()

    def test_one_address_cannot_open_connections_at_will_and_others_still_can(self):
        kept = []
        for _ in range(100):
            with contextlib.suppress(ConnectionError):
                raw = forge.connect(self.alpha.facts["listen"], MALLORY)
                kept.append(raw)
                self.addCleanup(raw.close)
        refused = harness.wait_for(
            lambda: self.alpha.metric("peermesh_connections_refused_total", listener="mesh"), 5, "refusals")
        self.assertGreaterEqual(refused, 50)
        self.beta.restart()
        self.mesh.wait_linked(5)

    def test_two_silent_addresses_do_not_keep_the_others_out(self):
        # Together as many as may be under way: 32 at once is what one address is allowed.
        for source in ("127.0.0.67", "127.0.0.68"):
            for _ in range(32):
                raw = forge.connect(self.alpha.facts["listen"], source)
                self.addCleanup(raw.close)
        self.beta.restart()
        self.mesh.wait_linked(3)
        out = self.alpha.metric("peermesh_handshakes_incomplete_total", listener="mesh", reason="crowded_out")
        self.assertGreaterEqual(out, 1)


# Method -> the callers that may use it. Everybody else must be told PERMISSION_DENIED.
APPLICATIONS = {"app.sock", "client", "admin"}
OPERATORS = {"admin.sock", "admin"}
ALLOWED = {
    "/peermesh.v1.MessagingService/Publish": APPLICATIONS,
    "/peermesh.v1.MessagingService/Subscribe": APPLICATIONS,
    "/peermesh.v1.MessagingService/Exchange": APPLICATIONS,
    "/peermesh.v1.PeersService/ListPeers": APPLICATIONS | OPERATORS,
    "/peermesh.v1.PeersService/WatchPeers": APPLICATIONS | OPERATORS,
    "/peermesh.v1.PeersService/GetPeer": APPLICATIONS | OPERATORS,
    "/peermesh.v1.PeersService/PingPeer": APPLICATIONS | OPERATORS,
    "/peermesh.v1.AdminService/GetStatus": OPERATORS,
    "/peermesh.v1.AdminService/Drain": OPERATORS,
    "/peermesh.v1.AdminService/Reload": OPERATORS,
    "/peermesh.v1.AdminService/GetLeakReport": OPERATORS,
    "/peermesh.v1.AdminService/ListResources": OPERATORS,
    "/peermesh.v1.AdminService/SetLedgerLevel": OPERATORS,
    "/peermesh.link.v1.LinkService/Control": {"peer"},
    "/peermesh.link.v1.LinkService/Data": {"peer"},
}
# A request that is refused for what it says, or harmless.
REQUESTS = {
    "/peermesh.v1.AdminService/Drain": admin_pb2.DrainRequest(grace={"seconds": -1}),
}


class Roles(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")
        cls.beta = cls.mesh.start("beta", join=cls.mesh.token("beta"))
        cls.channels = {
            "app.sock": cls.alpha.channel("app"),
            "admin.sock": cls.alpha.channel("admin"),
            "peer": harness.tls_channel(cls.alpha, cls.beta.dir / "identity"),
            "client": harness.tls_channel(cls.alpha, cls.mesh.client("reporter")),
            "admin": harness.tls_channel(cls.alpha, cls.mesh.client("operator", "--admin")),
        }
        for channel in cls.channels.values():
            cls.addClassCleanup(channel.close)

    def outcome(self, caller, method, request=b""):
        """The status of a call; OK as soon as an answer comes."""
        call = self.channels[caller].stream_stream(method)(iter([request]), timeout=5)
        try:
            next(call, None)
            call.cancel()
            return Code.OK, ""
        except grpc.RpcError as error:
            refusal = harness.Refusal(error)
            return refusal.code, refusal.reason

    def test_one_connection_over_tls_has_so_many_calls_at_once(self):
        watch = self.channels["client"].unary_stream("/grpc.health.v1.Health/Watch")
        calls = [watch(b"") for _ in range(64)]
        try:
            for call in calls:
                next(call)
            with self.assertRaises(grpc.RpcError) as refused:
                next(watch(b"", timeout=5))
            refusal = harness.Refusal(refused.exception)
            self.assertEqual((refusal.code, refusal.reason), (Code.RESOURCE_EXHAUSTED, "STREAM_LIMIT"))
            calls.pop().cancel()

            def room():
                try:
                    return next(watch(b"", timeout=5)) is not None
                except grpc.RpcError:
                    return False
            harness.wait_for(room, 20, "room for another call")
        finally:
            for call in calls:
                call.cancel()

    def all_methods(self):
        pool = descriptor_pool.Default()
        files = ("messaging", "peers", "admin")
        services = [pool.FindFileByName(f"peermesh/v1/{name}.proto") for name in files]
        services.append(pool.FindFileByName("peermesh/link/v1/link.proto"))
        return {f"/{service.full_name}/{method.name}" for file in services
                for service in file.services_by_name.values() for method in service.methods}

    def test_every_method_admits_the_callers_of_the_table_and_nobody_else(self):
        self.assertEqual(set(ALLOWED), self.all_methods(), "a method without a row, or a row without a method")
        for method, allowed in ALLOWED.items():
            request = REQUESTS.get(method, None)
            for caller in self.channels:
                with self.subTest(method=method, caller=caller):
                    code, reason = self.outcome(caller, method, request.SerializeToString() if request else b"")
                    if caller in allowed:
                        self.assertNotIn(code, (Code.PERMISSION_DENIED, Code.UNIMPLEMENTED, Code.UNAUTHENTICATED))
                    else:
                        self.assertEqual((code, reason), (Code.PERMISSION_DENIED, "ROLE_REQUIRED"))
        self.assertTrue(self.alpha.running)

    def test_a_method_nobody_has_heard_of_is_unimplemented_for_everybody(self):
        for method in ("/peermesh.v1.AdminService/Explode", "/no.such.Service/Call",
                       "/peermesh.ca.v1.TokenService/CreateToken", "/peermesh.ca.v1.EnrolmentService/Join"):
            for caller in self.channels:
                with self.subTest(method=method, caller=caller):
                    self.assertEqual(self.outcome(caller, method)[0], Code.UNIMPLEMENTED)

    def test_metadata_gives_no_rights(self):
        call = self.channels["app.sock"].unary_unary("/peermesh.v1.AdminService/GetStatus")
        refusal = harness.refusal_of(lambda: call(b"", timeout=5, metadata=(
            ("peermesh-client", "admin"), ("authorization", "Bearer admin"), ("x-forwarded-client-cert", "admin"))))
        self.assertEqual(refusal.reason, "ROLE_REQUIRED")

    def test_the_sender_of_a_message_is_who_the_certificate_says(self):
        stub = messaging_pb2_grpc.MessagingServiceStub(self.channels["client"])
        stream = self.keep(self.alpha.subscribe("origin.*"))
        self.alpha.publish(("origin.a", b""), stub=stub)
        stream.wait_messages(1)
        self.assertEqual(stream.frames[-1][1].deliveries[0].origin_name, "alpha", "the peer it entered the mesh on")


class Tokens(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")

    def join(self, name, token, **options):
        return self.mesh.peer(name).launch(join=token, **options)

    def refused(self, name, token, word="token", **options):
        with self.assertRaises(harness.Ended) as caught:
            self.join(name, token, **options)
        self.assertEqual(caught.exception.code, 5)
        self.assertIn(word, caught.exception.log)

    def state(self, token):
        """As the CA lists it."""
        listed = self.mesh.ca_tokens().ListTokens(ca_pb2.ListTokensRequest(), timeout=5).tokens
        info, = [info for info in listed if info.id == token.split(".")[2]]
        return ca_pb2.TokenState.Name(info.state).removeprefix("TOKEN_STATE_").lower()

    def test_a_token_works_once_for_one_key(self):
        token = self.mesh.token()
        first = self.join("first", token)
        self.assertEqual(self.state(token), "redeemed")
        # The same key may ask again, as after a lost answer, and gets the same certificate.
        certificate = (first.dir / "identity" / "cert.pem").read_text()
        self.assertEqual(first.end(), 0)
        (first.dir / "identity" / "cert.pem").unlink()
        first.launch(join=token)
        self.assertEqual((first.dir / "identity" / "cert.pem").read_text(), certificate)
        # Another key may not, and the owner of the mesh is told that somebody tried.
        self.refused("thief", token)
        self.assertEqual(self.state(token), "abused")

    def test_an_expired_token_is_refused(self):
        token = self.mesh.token("late", "--ttl", "1s")
        harness.wait_for(lambda: self.state(token) == "expired", 5, "the token to expire")
        self.refused("late", token)

    def test_a_revoked_token_is_refused(self):
        token = self.mesh.token("revoked")
        self.mesh.cli("token", "revoke", token.split(".")[2])
        self.assertEqual(self.state(token), "revoked")
        self.refused("revoked", token)

    def test_a_token_for_one_name_gives_no_other_and_a_name_is_given_once(self):
        self.refused("other", self.mesh.token("this"), word="name")
        self.join("taken", self.mesh.token())
        second = harness.Peer(self.mesh, "taken")
        second.dir = self.mesh.dir / "second"
        self.mesh.all["second"] = second
        with self.assertRaises(harness.Ended) as caught:
            second.launch(join=self.mesh.token())
        self.assertIn("name", caught.exception.log)

    def test_a_mistyped_token_is_noticed_before_anything_is_sent(self):
        token = self.mesh.token("typist")
        body, _, address = token.partition("@")
        flipped = ("b" if body[40] == "a" else "a")
        self.refused("typist", f"{body[:40]}{flipped}{body[41:]}@{address}")
        self.assertEqual(self.state(token), "issued")

    def test_a_token_whose_pin_is_another_cas_sends_no_secret(self):
        with harness.Mesh() as other:
            other.start("elsewhere")
            ours, theirs = self.mesh.token("pinned"), other.token("pinned")
            # The whole token of one mesh with the address of the other's CA.
            self.refused("pinned", theirs.partition("@")[0] + "@" + ours.partition("@")[2], word="CA")
            self.assertEqual(self.state(ours), "issued")

    def test_a_token_is_never_in_the_arguments_of_a_process(self):
        secret = None
        seen, done = [], threading.Event()

        def look():
            while not done.is_set():
                for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                    try:
                        words = path.read_bytes()
                    except OSError:
                        continue  # it has ended
                    if b"pm1." in words or (secret and secret in words):
                        seen.append((str(path), words))

        thread = threading.Thread(target=look)
        thread.start()
        try:
            for way in ("file", "stdin", "environment"):
                token = self.mesh.token(f"by-{way}")
                secret = token.split(".")[3].encode()
                self.join(f"by-{way}", token, join_by=way)
        finally:
            done.set()
            thread.join()
        self.assertEqual(seen, [])
        for name in ("by-file", "by-stdin", "by-environment", "alpha"):
            self.assertNotIn(secret.decode(), self.mesh[name].log.read_text(), "nor in a log")

    def test_a_peer_that_is_enrolled_needs_no_token_and_the_variable_goes_no_further(self):
        peer = self.join("clean", self.mesh.token("clean"), join_by="environment")
        peer.restart()
        self.assertEqual(peer.facts["name"], "clean")

    def test_a_key_that_others_can_read_is_refused_with_the_command_that_mends_it(self):
        peer = self.join("careless", self.mesh.token("careless"))
        self.assertEqual(peer.end(), 0)
        key = peer.dir / "identity" / "key.pem"
        key.chmod(0o644)
        with self.assertRaises(harness.Ended) as caught:
            peer.launch()
        self.assertIn(f"chmod 600 {key}", caught.exception.log)
        self.assertEqual(caught.exception.code, 4)
        key.chmod(0o600)
        peer.launch()

    def test_the_enrolment_port_serves_no_tokens_and_refuses_renewal_without_a_certificate(self):
        port = self.mesh.token("unused").partition("@")[2]
        root = (self.alpha.dir / "ca" / "root.pem").read_bytes()
        # The CA's certificate names its mesh, not a host; ordinary gRPC clients say so themselves.
        mesh_id = self.alpha.facts["mesh_id"]
        channel = harness.open_channel(port, grpc.ssl_channel_credentials(root),
                                       [("grpc.ssl_target_name_override", f"peermesh-ca.{mesh_id}")])
        self.addCleanup(channel.close)
        bundle = ca_pb2_grpc.EnrolmentServiceStub(channel).GetBundle(ca_pb2.GetBundleRequest(), timeout=5)
        self.assertEqual(bundle.mesh_id, mesh_id)
        refusal = harness.refusal_of(lambda: ca_pb2_grpc.TokenServiceStub(channel).CreateToken(
            ca_pb2.CreateTokenRequest(), timeout=5))
        self.assertEqual(refusal.code, Code.UNIMPLEMENTED)
        refusal = harness.refusal_of(lambda: ca_pb2_grpc.EnrolmentServiceStub(channel).Renew(
            ca_pb2.RenewRequest(), timeout=5))
        self.assertEqual((refusal.code, refusal.reason), (Code.UNAUTHENTICATED, "CERTIFICATE_REQUIRED"))


if __name__ == "__main__":
    harness.main()
