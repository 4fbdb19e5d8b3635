// Frames of applications: publishes, subscriptions, exchanges; and the deliveries that are spliced
// from what was let through, read back as a subscriber reads them.
//
// The first byte says which kind of frame the rest is: p, s, or x.
#include "server/wire/api.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>

#include "mesh/base/check.h"
#include "peermesh/v1/messaging.pb.h"
#include "tests/fuzz/batches.h"
#include "tests/fuzz/fuzz.h"

namespace peermesh::fuzz {
namespace {

std::shared_ptr<const std::string> Share(std::string_view bytes) {
  return std::make_shared<const std::string>(bytes);
}

// A sentence for people, a reason from the table for programs.
void CheckError(const wire::RpcError& error) {
  PM_CHECK(error.code != 0 && !error.message.empty());
  google::rpc::Status status;
  PM_CHECK(status.ParseFromString(error.details));
  PM_CHECK(status.code() == error.code && status.message() == error.message);
  google::rpc::ErrorInfo info;
  PM_CHECK(status.details_size() > 0 && status.details(0).UnpackTo(&info));
  PM_CHECK(wire::FindReason(info.reason()) != nullptr);
}

void CheckSubscription(const node::Subscription& subscription) {
  PM_CHECK(subscription.id != 0 && IsNaivePattern(subscription.pattern));
  PM_CHECK(subscription.block_timeout >= Duration::zero());
  PM_CHECK(subscription.block_timeout <= kMaxBlockTimeout);
  PM_CHECK(subscription.on_overflow >= OnOverflow::kGap);
  PM_CHECK(subscription.on_overflow <= OnOverflow::kClose);
}

// Delivers every `step`th message under numbers with gaps between them, and reads that.
void TryDelivery(const BatchRef& batch, std::size_t step, std::uint64_t first) {
  flow::Delivery delivery;
  delivery.origin.bytes.fill(7);
  delivery.epoch = 5;
  delivery.channel = 3;
  delivery.batch = batch;
  delivery.matched = {11, 12};
  for (std::size_t row = 0; row < batch->rows.size(); row += step) {
    delivery.items.push_back({static_cast<std::uint32_t>(row), first + 2 * row});
  }
  const std::string bytes =
      wire::EncodeDeliveries({&delivery, 1}, [](const PeerId&) { return "name"; }).Flat();
  v1::SubscribeResponse seen;
  PM_CHECK(seen.ParseFromString(bytes));
  PM_CHECK(seen.messages_size() == static_cast<int>(delivery.items.size()));
  PM_CHECK(seen.deliveries_size() == 1);
  const v1::Delivery& run = seen.deliveries(0);
  PM_CHECK(static_cast<int>(run.count()) == seen.messages_size() && run.channel() == 3);
  std::uint64_t number = run.first_sequence();
  for (int i = 0; i < seen.messages_size(); ++i) {
    if (i > 0) number += 1 + (run.skips().empty() ? 0 : run.skips(i));
    const flow::Item& item = delivery.items[static_cast<std::size_t>(i)];
    PM_CHECK(number == item.sequence);
    PM_CHECK(seen.messages(i).subject() == batch->subject(batch->rows[item.row]));
  }
}

void TryPublish(std::string_view bytes) {
  const auto request = wire::DecodePublish(Share(bytes));
  if (!request.ok()) return CheckError(request.error());
  v1::PublishRequest seen;
  PM_CHECK(seen.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  PM_CHECK(request->target == seen.target() && request->target.size() <= wire::kMaxTargetBytes);
  CheckBatch(*request->batch, seen.messages());
  TryDelivery(request->batch, 1, 1);
  TryDelivery(request->batch, 1 + bytes.size() % 3, 1 + bytes.size());
}

void TrySubscribe(std::string_view bytes) {
  const auto subscriptions = wire::DecodeSubscribe(bytes);
  if (!subscriptions.ok()) return CheckError(subscriptions.error());
  v1::SubscribeRequest seen;
  PM_CHECK(seen.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  PM_CHECK(static_cast<int>(subscriptions->size()) == seen.subjects_size());
  PM_CHECK(!subscriptions->empty() && subscriptions->size() <= kMaxSubscriptionsPerSession);
  for (std::size_t i = 0; i < subscriptions->size(); ++i) {
    const node::Subscription& subscription = (*subscriptions)[i];
    CheckSubscription(subscription);
    PM_CHECK(subscription.id == i + 1);
    PM_CHECK(subscription.pattern == seen.subjects(static_cast<int>(i)));
  }
}

void TryExchange(std::string_view bytes) {
  const auto frame = wire::DecodeExchange(Share(bytes));
  if (!frame.ok()) return CheckError(frame.error());
  PM_CHECK(frame->subscribe.size() <= kMaxSubscriptionsPerSession);
  PM_CHECK(frame->unsubscribe.size() <= kMaxSubscriptionsPerSession);
  PM_CHECK(frame->target.size() <= wire::kMaxTargetBytes);
  PM_CHECK(!frame->hello || frame->hello->size() <= wire::kMaxClientLabelBytes);
  for (const node::Subscription& subscription : frame->subscribe) CheckSubscription(subscription);
  if (frame->refused) {
    CheckError(*frame->refused);
    PM_CHECK(frame->batch == nullptr);
    return;  // protobuf may see nothing in a frame whose messages are broken
  }
  v1::ExchangeRequest seen;
  PM_CHECK(seen.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  PM_CHECK(frame->publish_id == seen.publish_id() && frame->ping == seen.ping());
  PM_CHECK(frame->target == seen.target());
  PM_CHECK(static_cast<int>(frame->subscribe.size()) == seen.subscribe_size());
  for (std::size_t i = 0; i < frame->subscribe.size(); ++i) {
    const v1::Subscription& subscription = seen.subscribe(static_cast<int>(i));
    PM_CHECK(frame->subscribe[i].id == subscription.id());
    PM_CHECK(frame->subscribe[i].pattern == subscription.subject());
  }
  PM_CHECK(std::equal(frame->unsubscribe.begin(), frame->unsubscribe.end(),
                      seen.unsubscribe().begin(), seen.unsubscribe().end()));
  PM_CHECK((frame->batch == nullptr) == seen.messages().empty());
  if (frame->batch != nullptr) CheckBatch(*frame->batch, seen.messages());
}

}  // namespace

void Try(std::string_view input) {
  Parts parts(input);
  switch (parts.Byte()) {
    case 'p': return TryPublish(parts.Rest());
    case 's': return TrySubscribe(parts.Rest());
    case 'x': return TryExchange(parts.Rest());
    default: return;
  }
}

}  // namespace peermesh::fuzz
