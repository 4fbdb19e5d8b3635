#include "server/api/admin_service.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

#include "peermesh/v1/admin.pb.h"
#include "server/api/resources.h"
#include "server/api/status.h"

namespace peermesh::api {

class AdminService::Call final : public link::StreamHandler {
 public:
  Call(const Hooks& hooks, Worker& worker, std::shared_ptr<link::Stream> stream)
      : hooks_(hooks), worker_(worker), stream_(std::move(stream)) {}

  void OnMessage(std::shared_ptr<const std::string> bytes) override {
    if (stream_->info().method.ends_with("/GetStatus")) {
      return hooks_.status(
          [stream = stream_](std::string response) { stream->Reply(std::move(response)); });
    }
    if (stream_->info().method.ends_with("/GetLeakReport"))
      return Later([&hooks = hooks_] { return LeakReport(*hooks.ledger, *hooks.auditor); });
    if (stream_->info().method.ends_with("/ListResources"))
      return Later([&hooks = hooks_, bytes] { return ListResources(*hooks.ledger, *bytes); });
    if (stream_->info().method.ends_with("/SetLedgerLevel"))
      return Reply(*stream_, SetLedgerLevel(*hooks_.ledger, *bytes));
    if (stream_->info().method.ends_with("/Reload")) return Reload();
    Drain(*bytes);
  }
  void OnReadEnd() override {
    stream_->Finish(ToStatus(wire::Invalid("EMPTY_REQUEST", "", "the call carried no message")));
  }
  void OnClosed(const link::Closed&) override {}

 private:
  // What walks the whole ledger, or waits for a sweep, must not hold up messages.
  void Later(std::function<absl::StatusOr<std::string>()> answer) {
    const bool taken =
        worker_.Post([stream = stream_, answer = std::move(answer)] { Reply(*stream, answer()); });
    if (!taken) {
      stream_->Finish(wire::MakeError(wire::Code::kResourceExhausted, "OVERLOADED",
                                      "too many reports are waiting"));
    }
  }

  static void Reply(link::Stream& stream, const absl::StatusOr<std::string>& response) {
    if (response.ok()) return stream.Reply(*response);
    const std::string_view why(response.status().message().data(),
                               response.status().message().size());
    stream.Finish(ToStatus(wire::Invalid("MALFORMED_MESSAGE", "", std::string(why))));
  }

  void Reload() {
    hooks_.reload([stream = stream_](absl::StatusOr<std::string> report) {
      if (report.ok()) return stream->Reply(*std::move(report));
      std::string why(report.status().message());
      if (why.ends_with('.')) why.pop_back();  // the advice of the reason follows
      const bool leaving = absl::IsUnavailable(report.status());
      stream->Finish(ToStatus(
          leaving ? wire::MakeError(wire::Code::kUnavailable, "DRAINING", why)
                  : wire::MakeError(wire::Code::kFailedPrecondition, "RELOAD_REFUSED", why)));
    });
  }

  void Drain(const std::string& bytes) {
    v1::DrainRequest request;
    if (!request.ParseFromString(bytes)) {
      return stream_->Finish(
          ToStatus(wire::Invalid("MALFORMED_MESSAGE", "", "not a DrainRequest")));
    }
    std::optional<Duration> grace;
    if (request.has_grace()) {
      // Bounded first: as microseconds they might overflow.
      const auto seconds = std::clamp<std::int64_t>(request.grace().seconds(), -1,
                                                    kMaxDrain / std::chrono::seconds(1) + 1);
      grace =
          std::chrono::seconds(seconds) + std::chrono::microseconds(request.grace().nanos() / 1000);
      if (*grace < Duration{} || *grace > kMaxDrain) {
        return stream_->Finish(
            ToStatus(wire::Invalid("BAD_GRACE", "grace", "must be between 0 and 5 minutes")));
      }
    }
    stream_->Reply(v1::DrainResponse().SerializeAsString());
    hooks_.drain(grace);
  }

  const Hooks& hooks_;
  Worker& worker_;
  const std::shared_ptr<link::Stream> stream_;
};

void AdminService::Take(const std::shared_ptr<link::Stream>& stream) {
  stream->Accept(std::make_shared<Call>(hooks_, worker_, stream));
  stream->Read();
}

}  // namespace peermesh::api
