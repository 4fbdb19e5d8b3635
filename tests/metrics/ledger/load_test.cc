// Twelve virtual hours of the loads that fool growth alarms, with a kernel that shows a socket for
// every client and some that come and go: nothing is proven or strongly suspected. And with a leak
// among them, it is found, in time and at its place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <list>
#include <numbers>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "metrics/ledger/auditor.h"
#include "metrics/ledger/handle.h"
#include "tests/metrics/ledger/virtual_time.h"

namespace peermesh::ledger {
namespace {

using namespace std::chrono_literals;

constexpr Duration kDay = 12h;
constexpr Duration kMaxIdle = 30s;

struct Load {
  const char* name;
  // New clients a second at that time of the run.
  double (*arrivals)(double hours);
  // How long one stays, in seconds.
  double (*life)(std::mt19937_64& random);
  double calls = 0.2;     // a client, a second
  bool restarts = false;  // everybody leaves every two hours and comes back
  double slow = 0;        // share of clients that take minutes to read
};

double Exponential(std::mt19937_64& random, double mean) {
  return std::exponential_distribution<double>(1 / mean)(random);
}
double HalfMinute(std::mt19937_64& random) { return Exponential(random, 30); }
double Minutes(std::mt19937_64& random) { return Exponential(random, 600); }
// Most are short, some last the day (Pareto, 1.1).
double HeavyTail(std::mt19937_64& random) {
  const double uniform = std::uniform_real_distribution<double>(1e-6, 1)(random);
  return std::min(8 * 3600.0, 30 / std::pow(uniform, 1 / 1.1));
}
double Flat(double) { return 0.5; }
double Seldom(double) { return 0.05; }
double Daily(double hours) { return 0.5 + 0.45 * std::sin(2 * std::numbers::pi * hours / 12); }
double Ramp(double hours) { return 0.05 + 1.0 * std::min(hours, 2.0) / 2; }
double Spikes(double hours) { return static_cast<int>(hours * 2) % 5 == 4 ? 3.0 : 0.2; }

const Load kLoads[] = {{"flat", Flat, HalfMinute},
                       {"daily", Daily, HalfMinute},
                       {"ramp", Ramp, HalfMinute},
                       {"spikes", Spikes, HalfMinute},
                       {"heavy-tail sessions", Seldom, HeavyTail},
                       {"churn", Flat, HalfMinute, 2.0},
                       {"slow consumers", Seldom, Minutes, 0.2, false, 0.3},
                       {"drain and restart", Seldom, Minutes, 0.2, true}};

// Applications of a peer as the ledger sees them: a connection, a session that is kept alive, a
// quiet subscription, calls that end.
class Applications {
 public:
  struct Leaks {  // an hour
    double calls = 0, sockets = 0;
  };
  Applications(const Load& load, std::uint64_t seed, Leaks leaks)
      : load_(load), leaks_(leaks), random_(seed) {
    virtual_now = Time(1h);
  }

  void Run(Duration time) {
    const Time begin = virtual_now;
    while (virtual_now - begin < time) {
      virtual_now += kSweepEvery;
      const double hours = std::chrono::duration<double>(virtual_now - begin).count() / 3600;
      Step(load_.arrivals(hours) * 2);
      if (load_.restarts && virtual_now - restarted_ > 2h) {
        clients_.clear();
        restarted_ = virtual_now;
      }
      auditor_.Sweep();
      for (const Verdict& verdict : auditor_.verdicts()) {
        if (verdict.alerts() && first_alert.rule.empty()) {
          first_alert = {ToString(verdict.rule), verdict.kind, verdict.function, verdict.owner,
                         virtual_now - begin};
        }
      }
    }
  }

  struct Alert {
    std::string rule, kind, function, owner;
    Duration after{};
  } first_alert;

 private:
  struct Call {
    Handle handle;
    Time end{};
  };
  struct Client {
    Scope scope;
    Handle connection, session, subscription;
    Time end{}, slow_until{};
    std::list<Call> calls;
  };

  std::uint64_t Poisson(double mean) {
    return std::poisson_distribution<std::uint64_t>(std::max(mean, 1e-9))(random_);
  }
  static Time After(double seconds) {
    return virtual_now + Duration(static_cast<Duration::rep>(seconds * 1000));
  }

  void Arrive() {
    Client client;
    client.scope = Scope({}, ScopeType::kClient, "app-" + std::to_string(++number_), &VirtualNow);
    client.connection = Handle(ledger_, connection_, client.scope);
    client.session = Handle(ledger_, session_, client.scope);
    client.subscription = Handle(ledger_, subscription_, client.scope);
    client.end = After(load_.life(random_));
    if (std::uniform_real_distribution<double>(0, 1)(random_) < load_.slow)
      client.slow_until = After(300);
    clients_.push_back(std::move(client));
  }

  // What a handler that forgets does: the call stays when its client has gone.
  void Forget(const Client& client) { leaked_.push_back(Handle(ledger_, call_, client.scope)); }

  // Sockets of clients belong to a library, and so do some that nobody books: a resolver's, a
  // connection that has not proved itself.
  KernelReading Kernel() {
    KernelReading reading;
    const std::uint64_t sockets = 12 + Poisson(1.5) + clients_.size() + raw_;
    for (std::uint64_t i = 0; i < sockets; ++i)
      reading.descriptors.push_back({static_cast<int>(i), "socket:[" + std::to_string(i) + "]", 0});
    return reading;
  }

  void Step(double arrivals) {
    for (std::uint64_t i = Poisson(arrivals); i > 0; --i) Arrive();
    raw_ += Poisson(leaks_.sockets / 3600 * 2);
    for (auto client = clients_.begin(); client != clients_.end();) {
      if (client->end <= virtual_now) {
        client = clients_.erase(client);
        continue;
      }
      client->connection.Touch();
      // A slow one answers its keepalive, and its calls take longer, within their contract.
      client->session.Touch();
      std::erase_if(client->calls, [](const Call& call) { return call.end <= virtual_now; });
      for (std::uint64_t i = Poisson(load_.calls * 2); i > 0; --i) {
        const bool slow = client->slow_until > virtual_now;
        client->calls.push_back({Handle(ledger_, call_, client->scope),
                                 After(std::min(Exponential(random_, slow ? 6 : 0.1), 25.0))});
      }
      if (leaks_.calls > 0 &&
          Poisson(leaks_.calls / 3600 * 2 / static_cast<double>(clients_.size())) > 0)
        Forget(*client);
      ++client;
    }
  }

  const Load& load_;
  const Leaks leaks_;
  std::mt19937_64 random_;
  Ledger ledger_{&VirtualNow};
  Auditor auditor_{ledger_, {.kernel = [this] { return Kernel(); }, .rpcs = {}, .today = {}}};
  const Kind connection_ = ledger_.Register(StandsFor("fd_socket", Active("connection", kMaxIdle)));
  const Kind session_ = ledger_.Register(Active("session", kMaxIdle));
  const Kind subscription_ = ledger_.Register(Owned("subscription"));
  const Kind call_ = ledger_.Register(ShortLived("call", 30s));
  std::list<Client> clients_;
  std::vector<Handle> leaked_;
  std::uint64_t number_ = 0, raw_ = 0;
  Time restarted_ = virtual_now;
};

// PEERMESH_SEEDS: 20 in tests/run long.
std::uint64_t Seeds() {
  const char* text = std::getenv("PEERMESH_SEEDS");
  return text == nullptr ? 2 : std::strtoull(text, nullptr, 10);
}

class LoadTest : public testing::TestWithParam<Load> {};

TEST_P(LoadTest, NothingIsProvenOrStronglySuspected) {
  for (std::uint64_t seed = 1; seed <= Seeds(); ++seed) {
    Applications applications(GetParam(), seed, {});
    applications.Run(kDay);
    const auto& alert = applications.first_alert;
    EXPECT_EQ(alert.rule, "") << GetParam().name << ", seed " << seed << ": " << alert.kind
                              << " after " << alert.after.count() / 1000 << " s";
  }
}

TEST_P(LoadTest, ALeakAmongItIsFoundAtItsPlace) {
  for (std::uint64_t seed = 1; seed <= Seeds(); ++seed) {
    Applications applications(GetParam(), seed, {.calls = 60});
    applications.Run(1h);
    const auto& alert = applications.first_alert;
    EXPECT_EQ(alert.kind, "call") << GetParam().name << ", seed " << seed;
    EXPECT_EQ(alert.function, "Forget");
    EXPECT_THAT(alert.owner, testing::StartsWith("client app-"));
    // The first is forgotten within minutes; it is overdue 30 s later, or an orphan 5 s after its
    // client has gone.
    EXPECT_LT(alert.after, 10min);
  }
}

// Ten minutes to learn what is usual, eight or more that may be chance, and fifteen of more and
// more: within the hour that is run.
TEST_P(LoadTest, ASocketThatNobodyBooksEveryMinuteIsFoundByTheKernelsCount) {
  for (std::uint64_t seed = 1; seed <= Seeds(); ++seed) {
    Applications applications(GetParam(), seed, {.sockets = 60});
    applications.Run(1h);
    const auto& alert = applications.first_alert;
    EXPECT_EQ(alert.rule, "kernel_excess") << GetParam().name << ", seed " << seed;
    EXPECT_EQ(alert.kind, "fd_socket");
    EXPECT_GT(alert.after, Excess::kFor);
  }
}

INSTANTIATE_TEST_SUITE_P(Loads, LoadTest, testing::ValuesIn(kLoads), [](const auto& load) {
  std::string name = load.param.name;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
});

}  // namespace
}  // namespace peermesh::ledger
