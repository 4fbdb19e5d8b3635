#include "tests/sim/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace peermesh::sim {
namespace {

constexpr std::uint64_t kOctaves = 8;  // a range of this factor is drawn by octave

std::uint64_t DrawFrom(Rng& rng, std::uint64_t from, std::uint64_t to) {
  const std::uint64_t low = std::max<std::uint64_t>(from, 1);
  if (to / kOctaves < low) return from + rng.Below(to - from + 1);
  const auto octaves = static_cast<std::uint64_t>(std::bit_width(to / low));
  const std::uint64_t octave = rng.Below(octaves);
  const std::uint64_t first = octave == 0 ? from : low << octave;
  const std::uint64_t last = std::min(to, (low << (octave + 1)) - 1);
  return first + rng.Below(last - first + 1);
}

std::string TextOf(Duration time) {
  const double us = static_cast<double>(time.count());
  if (us < 1e3) return fmt::format("{} us", time.count());
  return us < 1e6 ? fmt::format("{:.1f} ms", us / 1e3) : fmt::format("{:.1f} s", us / 1e6);
}

}  // namespace

Parameters::Parameters(const Script& script, Rng rng) : rng_(rng) {
  peers = Draw("peers", script.peers);
  seeds = std::min(Draw("seeds", script.seeds), peers);
  network.latency = Draw("latency", script.latency);
  network.jitter = Draw("jitter", script.jitter);
  network.bytes_per_second = Draw("bandwidth", script.bytes_per_second, " B/s");
  network.window = Draw("window", script.window, " B");
  network.certificates_expire = true;
  disk = Draw("disk", script.disk);
  stall = Draw("stall", script.stall);
  stall_every = Draw("stall every", script.stall_every);
  const std::uint64_t messages = Draw("limit", script.limit_messages, " messages/s");
  const std::uint64_t bytes = Draw("limit", script.limit_bytes, " B/s");
  const std::uint64_t peer_bytes = Draw("peer limit", script.peer_limit_bytes, " B/s");
  limits.application_messages = limits::Rate::PerSecond(messages);
  limits.application_bytes = limits::Rate::PerSecond(bytes);
  limits.peer_bytes = limits::Rate::PerSecond(peer_bytes);
}

std::uint64_t Parameters::Draw(const char* name, const Count& count, const char* unit) {
  const std::uint64_t value = DrawFrom(rng_, count.from, count.to);
  if (count.from != count.to) Note(name, std::to_string(value) + unit);
  return value;
}

Duration Parameters::Draw(const char* name, const Span& span) {
  const Duration value(
      static_cast<std::int64_t>(DrawFrom(rng_, static_cast<std::uint64_t>(span.from.count()),
                                         static_cast<std::uint64_t>(span.to.count()))));
  if (span.from != span.to) Note(name, TextOf(value));
  return value;
}

void Parameters::Note(std::string name, std::string value) {
  drawn_.emplace_back(std::move(name), std::move(value));
}

std::string ToText(const Parameters::Drawn& drawn) {
  std::string text;
  for (const auto& [name, value] : drawn) {
    text += (text.empty() ? "" : ", ") + name + " " + value;
  }
  return text;
}

}  // namespace peermesh::sim
