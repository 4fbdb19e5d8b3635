#include "client/cli/guide.h"

#include <algorithm>

namespace peermesh::cli {
namespace {

constexpr FileNote kContextFiles{"~/.config/peermesh/contexts/NAME.json",
                                 "One context. $XDG_CONFIG_HOME comes before ~/.config."};

std::vector<Guide> OfThePeer() {
  return {
      {.path = "",
       .examples = {{"peermesh up --name alpha", "Start a peer, and a mesh with it"},
                    {"peermesh token create", "Make what another host needs to join"},
                    {"peermesh sub 'hello.>'", "Print what arrives"},
                    {"peermesh pub hello.world hi", "Publish a message"}},
       .description =
           "PeerMesh carries messages between services on any hosts without a broker. Every host "
           "runs one peer, peermeshd(8). Peers find each other, prove who they are by mutual TLS, "
           "and keep links; a program talks to the peer on its host and reaches every program on "
           "every other.\n\n"
           "peermesh is for whoever operates and uses it: it starts and stops the peer of a host, "
           "lets others in, publishes and prints messages, shows who is in the mesh, and what a "
           "peer holds and may have leaked. Every command has a manual page of its own.\n\n"
           "Which peer is meant: the first of these that names one counts, and nothing is mixed: "
           "the options below, --context, the environment, PEERMESH_CONTEXT, the context that was "
           "chosen with \"peermesh context use\", and last the peer of this host.",
       .files = {{"/run/peermesh/app.sock",
                  "Socket of the peer for applications. A peer that a user started has its sockets "
                  "in $XDG_RUNTIME_DIR/peermesh, or in the directory run of its data directory."},
                 {"/run/peermesh/admin.sock",
                  "Its socket for the operator: status, drain, reload, leaks, resources. Only the "
                  "user of the peer and root may open it."},
                 {"/var/lib/peermesh", "Keys and state of the peer."},
                 {"/etc/peermesh/peermesh.yaml", "Configuration of the peer, as packaged."},
                 kContextFiles},
       .see_also = {}},
      {.path = "up",
       .examples = {{"peermesh up --name alpha", "Start a peer; if it is in no mesh, make one"},
                    {"peermesh up --name beta --join beta.token", "Join with a token in a file"},
                    {"peermesh up --config /etc/peermesh/peermesh.yaml",
                     "Start with a configuration file"}},
       .description = "The command becomes peermeshd(8): it stays in the foreground, and its exit "
                      "codes are those of peermeshd. On a host with systemd the package has the "
                      "unit peermeshd.service, which does the same.",
       .files = {{"/etc/peermesh/peermesh.yaml", "Configuration, as packaged."},
                 {"/var/lib/peermesh",
                  "Data directory of root's peer; of a user's: ~/.local/state/peermesh."}},
       .see_also = {"peermesh-token(1)", "peermesh-drain(1)"}},
      {.path = "status",
       .examples = {{"peermesh status", "Describe the peer of this host"},
                    {"peermesh --context prod status --json", "Another one, for a program"}},
       .see_also = {"peermesh-health(1)", "peermesh-peers(1)"}},
      {.path = "health",
       .examples = {{"peermesh health --wait 10s", "Wait until the peer has started"}},
       .description = "Asks the standard health service of gRPC, as a load balancer does.",
       .see_also = {"peermesh-check(1)", "peermesh-status(1)"}},
      {.path = "reload",
       .examples = {{"peermesh config check /etc/peermesh/peermesh.yaml", "Look before"},
                    {"peermesh reload", "Read the configuration file again"},
                    {"peermesh reload --json", "The same, for a program"}},
       .description =
           "In force at once are log.level, everything in limits, seeds, drain_timeout, and the "
           "certificate when it was replaced on disk. Links and connections stay. Every other "
           "setting that differs is listed as one that needs a restart, each time.",
       .files = {{"/etc/peermesh/peermesh.yaml", "Configuration, as packaged."}},
       .see_also = {"peermesh-config(1)", "peermesh-drain(1)"}},
      {.path = "drain",
       .examples = {{"peermesh drain", "Let the peer leave, and wait until it has ended"},
                    {"peermesh drain --grace 30s --no-wait",
                     "Give queues longer, and do not wait"}},
       .description = "The peer takes no new work, hands over what is queued, says goodbye, so "
                      "that nobody takes it for dead, and exits.",
       .see_also = {"peermesh-up(1)"}},
  };
}

std::vector<Guide> OfMessages() {
  return {
      {.path = "pub",
       .examples = {{"peermesh pub orders.new 'one espresso'", "Publish a message"},
                    {"tail -f app.log | peermesh pub logs.app --lines", "Each line as it comes"},
                    {"peermesh pub load.test x --count 100000 --rate 5000", "Make some load"}},
       .description = "Success means that the message is valid, has a number, and is queued for "
                      "every peer that is interested and linked. Who publishes learns how many are "
                      "interested.",
       .see_also = {"peermesh-send(1)", "peermesh-sub(1)"}},
      {.path = "send",
       .examples = {{"peermesh send beta hello", "To whoever subscribes to \"direct\" on beta"},
                    {"peermesh send beta --subject orders.new < order.json",
                     "A file as one message"}},
       .description = "Fails at once when nobody on that peer subscribes to the subject.",
       .see_also = {"peermesh-pub(1)", "peermesh-peers(1)"}},
      {.path = "sub",
       .examples = {{"peermesh sub 'orders.>'", "Print what arrives below orders"},
                    {"peermesh sub 'orders.*.new' stock --count 10", "Ten messages of two kinds"},
                    {"peermesh sub backup --raw --on-overflow block > file",
                     "Payloads alone, losing none"}},
       .description =
           "What cannot be delivered is announced in its place as a gap, with the numbers and a "
           "reason; nothing is lost in silence. A reader that is too slow says with --on-overflow "
           "what it wants then.",
       .see_also = {"peermesh-pub(1)"}},
  };
}

std::vector<Guide> OfTheMesh() {
  return {
      {.path = "peers",
       .examples = {{"peermesh peers", "Who is in the mesh, and how this peer sees them"},
                    {"peermesh peers --watch", "Then every change"},
                    {"peermesh peers --quiet", "Names alone, for scripts"}},
       .description =
           "STATE is what this peer believes of another: alive, suspect, dead, left, or "
           "unreachable: others have a link to it, and this one has none. CONNECTION is the link: "
           "idle, connecting, connected (in: the other dialled; out: this one did) or "
           "disconnected, with the reason.",
       .see_also = {"peermesh-status(1)"}},
      {.path = "peers show", .examples = {{"peermesh peers show beta", "Everything about beta"}}},
      {.path = "peers ping",
       .examples = {{"peermesh peers ping beta --count 10 --interval 200ms", "Measure ten times"}}},
      {.path = "token",
       .examples = {},
       .description =
           "A token lets one peer in, once, and for an hour unless --ttl says otherwise. "
           "It names the CA, the CA's key and a secret, of which the CA keeps a hash.",
       .files = {{"/var/lib/peermesh/ca/ca.sock", "Socket of a CA that runs beside a peer."},
                 {"/var/lib/peermesh-ca/ca.sock", "Of a CA by itself: name it with --ca-socket."}},
       .see_also = {"peermesh-up(1)", "peermesh-client(1)", "peermesh-ca(8)"}},
      {.path = "token create",
       .examples = {{"peermesh token create --name beta", "A token that beta alone may use"},
                    {"peermesh token create --quiet > beta.token", "The token alone, in a file"}}},
      {.path = "token ls", .examples = {{"peermesh token ls", "Which are issued, used, revoked"}}},
      {.path = "token revoke", .examples = {{"peermesh token revoke 3f9a2c41", "One of them"}}},
      {.path = "client",
       .examples = {},
       .description = "An application on another host has a key and a certificate of its own. The "
                      "directory is all it needs; keep it as you keep any private key.",
       .files = {{"key.pem, cert.pem, ca.pem",
                  "In the directory: key, certificate, and the CA's."}},
       .see_also = {"peermesh-token(1)", "peermesh-context(1)", "peermesh-ca(8)"}},
      {.path = "client add",
       .examples = {{"peermesh client add reporter", "Make ./reporter"},
                    {"peermesh client add ops --admin --ttl 30d", "For an operator, for a month"}}},
  };
}

std::vector<Guide> OfDiagnosis() {
  return {
      {.path = "check",
       .examples = {},
       .description = "One line, and the exit code that plugins of Nagios and Icinga have; or a "
                      "file for the textfile collector of Prometheus' node exporter.",
       .see_also = {"peermesh-health(1)", "peermesh-leaks(1)"}},
      {.path = "check conn",
       .examples = {{"peermesh check conn --peers 2", "At least two links"},
                    {"peermesh check conn --format prometheus -o /var/lib/node/peermesh.prom",
                     "For the textfile collector"}}},
      {.path = "check certs",
       .examples = {{"peermesh check certs --warning 2d --all", "Of every living peer"}}},
      {.path = "check leaks",
       .examples = {{"peermesh check leaks --warning 3", "Three findings are a warning"}}},
      {.path = "leaks",
       .examples = {{"peermesh leaks", "What looks leaked, and whose it is"}},
       .description =
           "Every resource of the peer is booked with its owner, where it was made, its age and "
           "its last use. The books are compared with themselves, with what gRPC counts and with "
           "what the kernel counts; what should have ended and has not is a finding.",
       .files = {{"/var/lib/peermesh/suppressions",
                  "In the data directory of the peer: findings that are known, a line each: KIND "
                  "SITE RULE DATE REASON."}},
       .see_also = {"peermesh-resources(1)", "peermesh-check(1)"}},
      {.path = "leaks show", .examples = {{"peermesh leaks show 1", "Its evidence"}}},
      {.path = "leaks dump",
       .examples = {{"peermesh leaks dump -o peermesh.json", "For a report of a bug"}}},
      {.path = "leaks check",
       .examples = {{"peermesh leaks check --soak 60s", "In CI: fail if the peer leaks"}}},
      {.path = "leaks level",
       .examples = {{"peermesh leaks level stacks", "Remember from now on who made what"}}},
      {.path = "resources",
       .examples = {{"peermesh resources", "How many of each kind, and how old"},
                    {"peermesh resources --by peer --older 10m", "Whose are the old ones"},
                    {"peermesh resources --by each --kind socket", "One by one"}},
       .see_also = {"peermesh-leaks(1)"}},
      {.path = "bench",
       .examples = {{"peermesh bench", "Through this peer alone, for five seconds"},
                    {"peermesh bench --answer", "On beta: be the other application"},
                    {"peermesh bench beta --size 16384", "Here: what gets to beta, 16 KiB each"},
                    {"peermesh bench beta --rate 1000 --json", "Gently, for a program"}},
       .description =
           "A round trip is the time from a publish to its answer: application, peer, link, peer, "
           "application, and all the way back. One way, publishers are held back when the other "
           "application or a link is the slower, so that nothing is lost; what is lost all the "
           "same shows in the result. It says what this mesh does now, under the load that it has. "
           "\"peermesh peers ping\" measures the way between two peers alone.",
       .see_also = {"peermesh-peers(1)", "peermesh-pub(1)"}},
  };
}

std::vector<Guide> OfTheProgram() {
  return {
      {.path = "config",
       .examples = {},
       .files = {{"/etc/peermesh/peermesh.yaml", "Configuration, as packaged."}},
       .see_also = {"peermesh-reload(1)"}},
      {.path = "config check",
       .examples = {{"peermesh config check /etc/peermesh/peermesh.yaml",
                     "Would a start take it?"}}},
      {.path = "config show",
       .examples = {{"peermesh config show --running", "What the peer was told, and by what"},
                    {"peermesh config show new.yaml", "What a start with this file would have"}}},
      {.path = "context",
       .examples = {},
       .description = "A context is a name for a peer: its address and an identity for it, or its "
                      "socket or directories on this host.",
       .files = {kContextFiles, {"~/.config/peermesh/context", "The name of the one in use."}},
       .see_also = {"peermesh-client(1)"}},
      {.path = "context add",
       .examples = {{"peermesh context add prod --address alpha.example.net:7443 --identity ops",
                     "A peer on another host"},
                    {"peermesh context add here --data-dir ./alpha --use", "One on this host"}}},
      {.path = "context ls", .examples = {{"peermesh context ls", "Every context"}}},
      {.path = "context use",
       .examples = {{"peermesh context use prod", "Talk to prod from now on"},
                    {"peermesh context use --none", "And to the peer of this host again"}}},
      {.path = "context show",
       .examples = {{"peermesh context show", "Whom do commands talk to, and why?"}}},
      {.path = "context rm", .examples = {{"peermesh context rm here", "Forget it"}}},
      {.path = "errors",
       .examples = {},
       .files = {{"/usr/share/doc/peermesh/errors.md", "The same as a page."}}},
      {.path = "errors ls", .examples = {{"peermesh errors ls", "Every reason in a line"}}},
      {.path = "errors lookup",
       .examples = {{"peermesh errors lookup RATE_LIMITED", "What to do about it"}}},
      {.path = "completion",
       .examples = {{"source <(peermesh completion bash)", "In this shell"}},
       .files = {{"/usr/share/bash-completion/completions/peermesh", "For bash."},
                 {"/usr/share/zsh/vendor-completions/_peermesh", "For zsh."},
                 {"/usr/share/fish/vendor_completions.d/peermesh.fish", "For fish."}}},
      {.path = "snippet",
       .examples = {{"peermesh snippet python > subscribe.py", "A subscriber in Python"},
                    {"peermesh --context prod snippet go publish > main.go",
                     "A publisher in Go, for the peer that \"prod\" names"}},
       .files = {{"/usr/share/peermesh/protos", "The API, as the programs use it."}}},
      {.path = "version", .examples = {{"peermesh version --json", "For a program"}}},
  };
}

}  // namespace

const std::vector<Guide>& Guides() {
  static const std::vector<Guide> all = [] {
    std::vector<Guide> guides = OfThePeer();
    for (const auto& part : {OfMessages(), OfTheMesh(), OfDiagnosis(), OfTheProgram()})
      guides.insert(guides.end(), part.begin(), part.end());
    return guides;
  }();
  return all;
}

const Guide& GuideOf(std::string_view path) {
  static const Guide none{};
  const auto found = std::find_if(Guides().begin(), Guides().end(),
                                  [path](const Guide& guide) { return guide.path == path; });
  return found == Guides().end() ? none : *found;
}

}  // namespace peermesh::cli
