#include "tests/sim/baseline/swim_command.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/sim/baseline/experiment.h"

namespace peermesh::sim {
namespace {

using baseline::Experiment;
using baseline::Report;
using baseline::Summary;

struct Options {
  Experiment experiment;
  std::vector<std::uint32_t> paused = {1, 4, 8, 16, 32};
  std::int64_t seconds = 300, grace = 15, latency_least = 1, latency_most = 10;
  std::int64_t running_least = 64, running_most = 1000, service = 1000;
  double loss = 0;  // percent
  std::string json;
};

void PrintTimes(const char* name, const Summary& times) {
  fmt::print("    {:<44} mean {:>6.2f}  p50 {:>6.2f}  p99 {:>6.2f}  most {:>6.2f} s  of {}\n", name,
             times.mean, times.p50, times.p99, times.most, times.count);
}

void PrintTable(const Experiment& experiment, const std::vector<Report>& reports) {
  fmt::print(
      "Classic SWIM, {} members, {} s of pauses, {} s of grace; means of {} seeds\n"
      "healthy: neither crashed nor paused, now or within the grace before\n\n",
      experiment.config.members, experiment.plan.length / std::chrono::seconds(1),
      experiment.config.grace / std::chrono::seconds(1), experiment.seeds);
  fmt::print("{:>6}  {:>25}  {:>15}  {:>15}  {:>11}  {:>14}\n", "paused",
             "healthy, declared dead by", "believed by", "believed by", "all beliefs",
             "sends a member");
  fmt::print("{:>6}  {:>25}  {:>15}  {:>15}  {:>11}  {:>14}\n", "", "healthy: mean, most, seeds",
             "healthy", "anyone", "of deaths", "and period");
  for (const Report& report : reports) {
    const std::string deaths =
        fmt::format("{:.2f}, {:.0f}, {}", report.false_deaths, report.false_deaths_most,
                    report.seeds_with_false_deaths);
    fmt::print("{:>6}  {:>25}  {:>15.1f}  {:>15.1f}  {:>11.1f}  {:>14.2f}\n", report.paused, deaths,
               report.false_events, report.raw_healthy_events, report.raw_events, report.sends);
  }
  for (const Report& report : reports) {
    if (experiment.crashes == 0) break;
    fmt::print("\n  {} paused, {} crashes a run; {} never declared dead\n", report.paused,
               experiment.crashes, report.undetected);
    PrintTimes("the first ping that failed was sent after", report.probed);
    PrintTimes("first suspected after", report.suspected);
    PrintTimes("first declared dead after", report.declared);
    PrintTimes("known to all after", report.known);
  }
}

nlohmann::ordered_json ToJson(const Summary& times) {
  return {{"count", times.count},
          {"mean", times.mean},
          {"p50", times.p50},
          {"p99", times.p99},
          {"most", times.most}};
}

nlohmann::ordered_json ToJson(const Experiment& experiment, const std::vector<Report>& reports) {
  nlohmann::ordered_json json{{"protocol", "classic SWIM"},
                              {"members", experiment.config.members},
                              {"seeds", experiment.seeds},
                              {"first_seed", experiment.first_seed},
                              {"pauses_seconds", experiment.plan.length / std::chrono::seconds(1)},
                              {"grace_seconds", experiment.config.grace / std::chrono::seconds(1)},
                              {"crashes", experiment.crashes},
                              {"loss_per_million", experiment.config.loss_per_million}};
  for (const Report& report : reports) {
    nlohmann::ordered_json row{{"paused", report.paused},
                               {"false_deaths", report.false_deaths},
                               {"false_deaths_most", report.false_deaths_most},
                               {"seeds_with_false_deaths", report.seeds_with_false_deaths},
                               {"false_events", report.false_events},
                               {"raw_healthy_events", report.raw_healthy_events},
                               {"raw_events", report.raw_events},
                               {"sends_per_member_and_period", report.sends},
                               {"overflowed", report.overflowed},
                               {"digest", fmt::format("{:016x}", report.digest)}};
    if (experiment.crashes > 0) {
      row["undetected"] = report.undetected;
      row["failing_ping_seconds"] = ToJson(report.probed);
      row["suspected_seconds"] = ToJson(report.suspected);
      row["declared_seconds"] = ToJson(report.declared);
      row["known_seconds"] = ToJson(report.known);
    }
    json["runs"].push_back(std::move(row));
  }
  return json;
}

int Run(const Options& options) {
  Experiment experiment = options.experiment;
  experiment.plan.members = experiment.config.members;
  experiment.plan.length = std::chrono::seconds(options.seconds);
  experiment.config.grace = std::chrono::seconds(options.grace);
  experiment.config.latency_least = std::chrono::milliseconds(options.latency_least);
  experiment.config.latency_most = std::chrono::milliseconds(options.latency_most);
  experiment.plan.running_least = std::chrono::milliseconds(options.running_least);
  experiment.plan.running_most = std::chrono::milliseconds(options.running_most);
  experiment.config.service = Duration(options.service);
  experiment.config.loss_per_million = static_cast<std::uint32_t>(options.loss * 10'000);
  if (options.latency_least > options.latency_most ||
      options.running_least > options.running_most) {
    fmt::print(stderr, "meshsim: the least latency or spell is above the most\n");
    return kBadInput;
  }
  std::vector<Report> reports;
  fmt::print("seed {} to {}\n", experiment.first_seed,
             experiment.first_seed + experiment.seeds - 1);
  for (const std::uint32_t paused : options.paused) {
    if (paused + experiment.crashes > experiment.config.members) {
      fmt::print(stderr, "meshsim: {} paused and {} crashed are more than {} members\n", paused,
                 experiment.crashes, experiment.config.members);
      return kBadInput;
    }
    experiment.plan.paused = paused;
    reports.push_back(RunExperiment(experiment));
  }
  PrintTable(experiment, reports);
  Digest digest;
  for (const Report& report : reports) digest.Add(report.digest);
  fmt::print("digest {:016x}\n", digest.value());
  if (options.json.empty()) return 0;
  std::ofstream file(options.json);
  if (!(file << ToJson(experiment, reports).dump(2) << "\n")) {
    fmt::print(stderr, "meshsim: {}: cannot be written\n", options.json);
    return kBadInput;
  }
  return 0;
}

}  // namespace

Command AddSwim(CLI::App& meshsim) {
  const auto owned = std::make_shared<Options>();
  Options& options = *owned;
  Experiment& experiment = options.experiment;
  CLI::App* swim = meshsim.add_subcommand(
      "swim", "Run classic SWIM, to compare with: false alarms while some members are paused.");
  swim->add_option("--members", experiment.config.members,
                   "How many (memory grows with the square)")
      ->check(CLI::Range(2, 4096))
      ->capture_default_str();
  swim->add_option("--paused", options.paused, "How many are paused by turns; one table row each")
      ->delimiter(',')
      ->capture_default_str();
  swim->add_option("--crashes", experiment.crashes, "How many others crash in each run")
      ->capture_default_str();
  swim->add_option("--seconds", options.seconds, "For how long there are pauses and crashes")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  swim->add_option("--grace", options.grace, "Seconds after a pause until a member is healthy")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  swim->add_option("--latency-least", options.latency_least, "Of a datagram, in ms")
      ->check(CLI::Range(0, 10'000))
      ->capture_default_str();
  swim->add_option("--latency-most", options.latency_most, "Of a datagram, in ms")
      ->check(CLI::Range(0, 10'000))
      ->capture_default_str();
  swim->add_option("--running-least", options.running_least, "Between two pauses, in ms")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  swim->add_option("--running-most", options.running_most, "Between two pauses, in ms")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  swim->add_option("--service", options.service, "What handling a datagram takes, in us")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  swim->add_option("--loss", options.loss, "Percent of the datagrams")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  swim->add_option("--seeds", experiment.seeds, "How many seeds")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  swim->add_option("--seed", experiment.first_seed, "The first seed")->capture_default_str();
  swim->add_option("--json", options.json, "Write the figures to this file, too");
  return {swim, [owned] { return Run(*owned); }};
}

}  // namespace peermesh::sim
