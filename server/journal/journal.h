// The journal of a node: everything it was told, so that a run can be repeated elsewhere.
//
// A node is a function of (config, seed, facts, times). A journal holds these from the first turn
// on, each turn before the node sees it: the last entry of a process that aborted is the turn that
// made it abort. `meshsim replay FILE` repeats the run and compares what the node wishes after
// every turn, and its whole state now and then, with what is recorded here.
//
// A file: "PMJOURN7", then entries of [u32 length][u32 checksum][body], little-endian. The body is
// one byte of kind, then the fields in the order of fields.h.
//
// Payloads are never written, only their lengths; subjects, peer names and addresses are. The file
// is for its owner alone (0600). It ends in order at Options::max_bytes or when the disk is full:
// the peer goes on without it and says so in its log.
//
// Not thread-safe: owned by the driver's turn.
#ifndef PEERMESH_SERVER_JOURNAL_JOURNAL_H_
#define PEERMESH_SERVER_JOURNAL_JOURNAL_H_

#include <cstdint>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mesh/base/digest.h"
#include "mesh/base/rng.h"
#include "mesh/base/time.h"
#include "mesh/node/node.h"

namespace peermesh::journal {

// What a node is made of.
struct Start {
  std::string software;
  node::Config config;
  Rng::Seed seed{};
  Instant now{};
};

struct Turn {
  Instant now{};
  bool woke = false;  // Wake was called before the facts
  std::vector<node::Input> facts;
  std::uint64_t wishes_before = 0;  // WishDigest of all turns before this one
};

// What the node had come to after the turns so far.
struct Mark {
  std::uint64_t wishes = 0;  // WishDigest
  std::uint64_t state = 0;   // Node::Digest
  bool last = false;         // the run ended here
};

using Entry = std::variant<Start, Turn, Mark>;

// Order-sensitive hash of everything a node wished, field by field.
class WishDigest {
 public:
  // The wishes of one turn.
  void Add(const node::Effects& wishes);
  std::uint64_t value() const { return digest_.value(); }

 private:
  Digest digest_;
};

// One number for a whole run: wishes and final state.
std::uint64_t DigestOf(const Mark& mark);

class Writer {
 public:
  struct Options {
    std::uint64_t max_bytes = 1ull << 30;  // an hour at 2,000 messages a second: guess
    std::uint64_t turns_per_mark =
        1024;  // hashing all state costs about what 1,000 turns do: guess
  };
  // An earlier file at `path` is kept as `path`.old. INVALID_ARGUMENT: the file cannot be made.
  static absl::StatusOr<std::unique_ptr<Writer>> Create(const std::string& path, const Start& start,
                                                        Options options);
  ~Writer();

  // Before the turn: its time, and each fact in order. On file when Commit returns.
  void Begin(Instant now, bool woke);
  void Add(const node::Input& fact);
  void Commit();
  // After the turn.
  void Done(const node::Effects& wishes, const node::Node& node);
  // After the last turn.
  void End(const node::Node& node);

 private:
  Writer(std::string path, int file, Options options);
  void Write(std::string_view bytes);
  void MarkState(const node::Node& node, bool last);
  void Close();

  const std::string path_;
  const Options options_;
  int file_;  // -1: ended
  std::uint64_t written_ = 0, turns_ = 0;
  Turn turn_;  // reused
  bool open_ = false;
  WishDigest wishes_;
};

class Reader {
 public:
  // INVALID_ARGUMENT: there is no such file, or it is no journal.
  static absl::StatusOr<Reader> Open(const std::string& path);
  const Start& start() const { return start_; }
  // The next entry; nullopt at the end. DATA_LOSS: the file is damaged here.
  absl::StatusOr<std::optional<Entry>> Next();
  // The file ends within an entry: the process ended while it wrote.
  bool torn() const { return torn_; }

 private:
  explicit Reader(std::ifstream file) : file_(std::move(file)) {}

  std::ifstream file_;
  Start start_;
  bool torn_ = false;
  std::uint64_t entries_ = 0;
};

}  // namespace peermesh::journal

#endif  // PEERMESH_SERVER_JOURNAL_JOURNAL_H_
