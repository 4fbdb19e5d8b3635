#include "mesh/node/news.h"

#include <iterator>

#include "mesh/base/growth.h"
#include "mesh/node/bounds.h"

namespace peermesh::node {

void Passed::Wake(Instant now) {
  if (now - since_ < kHeardFor) return;
  since_ = now;
  recent_ = 0;
  for (auto at = windows_.begin(); at != windows_.end();) {
    at = std::exchange(at->second.recent, false) ? std::next(at) : windows_.erase(at);
  }
}

bool Passed::TryAdd(Instant now, const PeerId& speaker, std::uint64_t number) {
  Wake(now);
  const std::uint64_t key = membership::ObserverKey(speaker);
  const auto known = windows_.find(key);
  Window window;
  if (known != windows_.end()) window = known->second;
  if (!window.recent && recent_ >= kMaxSpeakers) return false;
  if (number > window.largest) {
    const std::uint64_t by = number - window.largest;
    window.below = by > 64 ? 0 : by == 64 ? 1ull << 63 : window.below << by | 1ull << (by - 1);
    window.largest = number;
  } else {
    const std::uint64_t back = window.largest - number;
    if (back == 0 || back > 64 || (window.below >> (back - 1) & 1) != 0) return false;
    window.below |= 1ull << (back - 1);
  }
  recent_ += !std::exchange(window.recent, true);
  if (known != windows_.end()) {
    known->second = window;
  } else {
    windows_.emplace(key, window);
  }
  return true;
}

void News::Add(membership::RecordRef record, std::optional<PeerId> from, Reach reach) {
  records_.push_back({std::move(record), from, reach});
}

void News::Add(membership::StatementRef statement, std::optional<PeerId> from) {
  statements_.emplace_back(std::move(statement), from);
}

bool News::TryTake(Instant now) {
  static constexpr limits::Rate kPace{1, kNewsPause, kNewsBurst};
  if (empty() || due_ > now) return false;
  const auto until = pace_.TryTake(kPace, 1, now);
  due_ = until.value_or(Instant{});
  return !until;
}

void News::AddRecords(const PeerId& peer, Reach reach, std::vector<ControlFrame>& frames) const {
  const bool news = reach == Reach::kEverybody;
  PeerRecords records{.news = news};
  std::size_t bytes = 0;
  for (const Record& told : records_) {
    if (told.from == peer || told.reach != reach) continue;
    const std::size_t size = told.record->encoded.size();
    if (bytes > 0 && bytes + size > kRecordsPerFrameBytes) {
      frames.emplace_back(std::exchange(records, {.news = news}));
      bytes = 0;
    }
    bytes += size;
    records.records.push_back(told.record);
  }
  if (!records.records.empty()) frames.emplace_back(std::move(records));
}

void News::AddStatements(const PeerId& peer, bool past, std::vector<ControlFrame>& frames) const {
  Statements statements;
  std::size_t bytes = 0;
  for (const auto& [statement, from] : statements_) {
    if (from == peer || statement->past != past) continue;
    const bool full = statements.statements.size() == kStatementsPerFrame;
    if (full || bytes + statement->encoded.size() > kRecordsPerFrameBytes) {
      frames.emplace_back(std::exchange(statements, {}));
      bytes = 0;
    }
    bytes += statement->encoded.size();
    statements.statements.push_back(statement);
  }
  if (!statements.statements.empty()) frames.emplace_back(std::move(statements));
}

std::vector<ControlFrame> News::FramesFor(const PeerId& peer) const {
  std::vector<ControlFrame> frames;
  AddRecords(peer, Reach::kWhoKeepsIt, frames);
  AddRecords(peer, Reach::kEverybody, frames);
  AddStatements(peer, true, frames);
  AddStatements(peer, false, frames);
  return frames;
}

void News::Clear() {
  GiveBack(records_);
  GiveBack(statements_);
}

}  // namespace peermesh::node
