#include "tests/sim/crowd.h"

#include <algorithm>
#include <utility>

namespace peermesh::sim {
namespace {

constexpr std::uint64_t kFast = 1'000'000'000;  // bytes a second

}  // namespace

void Crowd::Begin(const Load& load) {
  EndLoad();
  const std::uint64_t per_second = parameters_.Draw("load", load.per_second, "/s");
  subjects_ = parameters_.Draw("subjects", load.subjects);
  size_ = {load.size.from, parameters_.Draw("messages up to", load.size, " B")};
  if (per_second == 0) return;
  loaded_ = true;
  pause_ = Duration(1'000'000 * parameters_.peers / per_second);
  for (HostIndex host = 0; host < world_.hosts(); ++host) {
    if (world_.running(host)) OpenWriter(host);
  }
}

void Crowd::EndLoad() {
  loaded_ = false;
  for (const AppIndex app : std::exchange(writers_, {})) {
    if (!world_.app(app).ended) world_.CloseApp(app);
  }
}

void Crowd::Begin(const Readers& readers) {
  readers_ = readers;
  each_ = parameters_.Draw("readers on each", readers.each);
  everything_ = parameters_.Draw("readers of everything", readers.everything);
  slow_ = parameters_.Draw("slow readers", readers.slow);
  pace_ = parameters_.Draw("their pace", readers.pace, " B/s");
  for (HostIndex host = 0; host < world_.hosts(); ++host) {
    if (world_.running(host)) OpenReaders(host);
  }
}

void Crowd::Arrive(HostIndex host) {
  OpenReaders(host);
  OpenWriter(host);
}

void Crowd::OpenWriter(HostIndex host) {
  if (!loaded_) return;
  const AppIndex app = world_.Open(host);
  writers_.push_back(app);
  const std::string subject = "s" + std::to_string(rng_.Below(subjects_)) + ".x";
  const std::uint64_t size = size_.from + rng_.Below(size_.to - size_.from + 1);
  const Duration first = rng_.Between({}, pause_);
  world_.At(world_.now() + first, [this, app, subject, size] {
    world_.Feed(app, subject, 1, size, pause_, kNever - std::chrono::hours(1));
  });
}

void Crowd::OpenReaders(HostIndex host) {
  for (std::uint64_t i = 0; i < each_; ++i) OpenReader(host);
}

void Crowd::OpenReader(HostIndex host) {
  const AppIndex app = world_.Open(host);
  const std::uint64_t subject = rng_.Below(subjects_);
  OnOverflow overflow = OnOverflow::kGap;
  if (readers_.overflow == "block") overflow = OnOverflow::kBlock;
  if (readers_.overflow == "close") overflow = OnOverflow::kClose;
  if (readers_.overflow == "any") {
    constexpr OnOverflow kAll[] = {OnOverflow::kGap, OnOverflow::kBlock, OnOverflow::kClose};
    overflow = kAll[rng_.Below(std::size(kAll))];
  }
  if (slow_ > 0) {
    --slow_;
    world_.app(app).bytes_per_second = pace_;
  }
  const bool everything = everything_ > 0;
  if (everything) --everything_;
  world_.Subscribe(app, 1, everything ? ">" : "s" + std::to_string(subject) + ".*", overflow);
}

void Crowd::ReadOn() {
  slow_ = 0;
  for (AppIndex app = 0; app < world_.apps(); ++app) {
    world_.app(app).bytes_per_second = kFast;
    if (!world_.app(app).ended) world_.Resume(app);
  }
}

}  // namespace peermesh::sim
