#include "server/link/health.h"

#include <optional>
#include <utility>

#include "server/wire/reader.h"

namespace peermesh::link {
namespace {

// The name in a HealthCheckRequest; nothing if that is not one.
std::optional<std::string> ServiceIn(std::string_view request) {
  constexpr std::uint32_t kServiceField = 1;
  std::string service;
  wire::Reader reader(request);
  while (reader.Next()) {
    if (reader.number() == kServiceField) {
      service = reader.Bytes();
    } else {
      reader.Skip();
    }
  }
  if (reader.rule() != wire::Rule::kNone) return std::nullopt;
  return service;
}

RpcStatus StatusFor(wire::Code code, std::string message) {
  RpcStatus status;
  status.code = static_cast<int>(code);
  status.message = std::move(message);
  return status;
}

RpcStatus NoRequest() {
  return StatusFor(wire::Code::kInvalidArgument, "not a grpc.health.v1.HealthCheckRequest");
}

}  // namespace

class Health::CheckCall final : public StreamHandler {
 public:
  CheckCall(const Health& health, std::shared_ptr<Stream> stream)
      : health_(health), stream_(std::move(stream)) {}

  void OnMessage(std::shared_ptr<const std::string> bytes) override {
    const auto service = ServiceIn(*bytes);
    if (!service) return stream_->Finish(NoRequest());
    const Status status = health_.StatusOf(*service);
    if (status == Status::kServiceUnknown)
      return stream_->Finish(StatusFor(wire::Code::kNotFound, "there is no such service here"));
    stream_->Reply(Response(status));
  }
  void OnReadEnd() override { stream_->Finish(NoRequest()); }
  void OnClosed(const Closed&) override { stream_.reset(); }

 private:
  const Health& health_;
  std::shared_ptr<Stream> stream_;
};

class Health::WatchCall final : public StreamHandler,
                                public std::enable_shared_from_this<Health::WatchCall> {
 public:
  WatchCall(Health& health, std::shared_ptr<Stream> stream)
      : health_(health), stream_(std::move(stream)) {}

  void OnMessage(std::shared_ptr<const std::string> bytes) override {
    auto service = ServiceIn(*bytes);
    if (!service) return stream_->Finish(NoRequest());
    {
      const std::lock_guard lock(mutex_);
      service_ = *std::move(service);
    }
    health_.Enter(shared_from_this());
    Update();
  }
  void OnReadEnd() override { stream_->Finish(NoRequest()); }
  void OnWritten() override {
    {
      const std::lock_guard lock(mutex_);
      writing_ = false;
    }
    Update();
  }
  void OnClosed(const Closed&) override { health_.Leave(shared_from_this()); }

  // Tells the state, if it is another one than was told last; the end comes after the last of them.
  void Update() {
    std::optional<Status> news;
    {
      const std::lock_guard lock(mutex_);
      const Status status = health_.StatusOf(service_);
      if (writing_ || (told_ == status && !ending_)) return;
      if (told_ != status) news = told_ = status;
      writing_ = news.has_value();
    }
    if (news) return stream_->Write(Response(*news));
    stream_->Finish(StatusFor(wire::Code::kUnavailable, "the server stops"));
  }
  void End() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    Update();
  }

 private:
  Health& health_;
  const std::shared_ptr<Stream> stream_;
  std::mutex mutex_;  // before that of Health
  std::string service_;
  bool writing_ = false;
  bool ending_ = false;
  std::optional<Status> told_;
};

Health::Health(const std::vector<std::string>& services)
    : services_(services.begin(), services.end()) {
  services_.emplace();
}

std::string Health::Response(Status status) {
  constexpr std::uint32_t kStatusField = 1;
  std::string bytes;
  wire::Writer(bytes).VarintField(kStatusField, static_cast<std::uint64_t>(status));
  return bytes;
}

void Health::Serve(const std::shared_ptr<Stream>& stream) {
  if (stream->info().method == kHealthCheck) {
    stream->Accept(std::make_shared<CheckCall>(*this, stream));
  } else {
    stream->Accept(std::make_shared<WatchCall>(*this, stream));
  }
  stream->Read();
}

void Health::Set(bool serving) {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;
    serving_ = serving;
  }
  for (const auto& watch : Watches()) watch->Update();
}

void Health::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    serving_ = false;
  }
  for (const auto& watch : Watches()) watch->End();
}

Health::Status Health::StatusOf(const std::string& service) const {
  const std::lock_guard lock(mutex_);
  if (!services_.contains(service)) return Status::kServiceUnknown;
  return serving_ ? Status::kServing : Status::kNotServing;
}

// One that comes while the server stops is ended by it at once.
void Health::Enter(std::shared_ptr<WatchCall> watch) {
  bool late = false;
  {
    const std::lock_guard lock(mutex_);
    late = stopped_;
    if (!late) watches_.insert(watch);
  }
  if (late) watch->End();
}

void Health::Leave(const std::shared_ptr<WatchCall>& watch) {
  const std::lock_guard lock(mutex_);
  watches_.erase(watch);
}

std::set<std::shared_ptr<Health::WatchCall>> Health::Watches() const {
  const std::lock_guard lock(mutex_);
  return watches_;
}

}  // namespace peermesh::link
