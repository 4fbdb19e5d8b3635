#include "mesh/routing/subject.h"

#include "mesh/base/check.h"
#include "mesh/base/digest.h"
#include "mesh/base/limits.h"

namespace peermesh::routing {

std::uint32_t ChannelOf(std::string_view subject) {
  PM_CHECK(!subject.empty());
  return static_cast<std::uint32_t>(HashBytes(TakeToken(subject)) % kChannels);
}

bool HasLeadingWildcard(std::string_view pattern) {
  const std::string_view first = TakeToken(pattern);
  return first == "*" || first == ">";
}

std::uint64_t ChannelsOf(std::string_view pattern) {
  static_assert(kChannels == 64, "one bit each");
  if (HasLeadingWildcard(pattern)) return ~std::uint64_t{0};
  return std::uint64_t{1} << ChannelOf(pattern);
}

}  // namespace peermesh::routing
