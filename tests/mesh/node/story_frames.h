// What two peers say to each other, in the words of a story. What is shown can be said: a line of
// effects may be copied into a fact, except for the hash of a heartbeat.
//
//   control   ready · heartbeat 2 [echo 1 delay 5ms] [table 1f] [interest 3: news.>, orders]
//             interest 3: news.>, orders block 5s · interest 3: nothing
//             interest 3 first: a, b · interest 3 next: c · interest 3 last: d
//             change 4: +news.*, -orders · ack 4 · ask interest
//             records beta 5 [epoch 5] [at beta:7443], gamma 2 channels news observers eps
//             beliefs gamma 5 linked, delta 0 unlinked, eps 1 left
//             goodbye leaving · goodbye surplus
//             statements beta 3 calls gamma 5 gone HEARTBEAT_TIMEOUT, delta 1 calls eps 5 back
//             hashes a 1f, b 2e · rows of a+b: alpha 5, beta 6 · want beta+gamma
//             join · forward join gamma ttl 3 · neighbor high · neighbor refused [try delta]
//             disconnect [try gamma] · shuffle 7 ttl 3 of gamma+delta · shuffle reply 7 of eps
//             have gamma 5 news 1..3 [hops 2], gamma 5 orders 4 · graft gamma 5 news 2
//             prune news+orders · prune all
//             positions gamma 5 news 1..3, eps 9 news next 4 · positions next: eps 9 news 1
//   data      news.a 1..3 100B                              a run of one kind of message
//             news 1..9: lost 1..2 slow_link, news.a 3..4 100B, skipped 5..9     the whole account
//             mark news next 4 · mark news 1..3: lost 1..3 link_lost             a run that marks
//             marks of 64 idle channels                     nothing was ever sent on them
//             relayed gamma 5 [after 1] [hops 2]: news.a 2..3 100B, news.b 4 10B
//             end                                           joined by `;`
#ifndef PEERMESH_TESTS_MESH_NODE_STORY_FRAMES_H_
#define PEERMESH_TESTS_MESH_NODE_STORY_FRAMES_H_

#include <optional>
#include <string>
#include <vector>

#include "mesh/node/frame.h"
#include "tests/mesh/node/story_cast.h"
#include "tests/mesh/node/story_words.h"

namespace peermesh::node {

std::vector<std::string> ShowControl(const Cast& cast, const ControlFrame& frame);
std::vector<std::string> ShowData(const Cast& cast, const DataFrame& frame);

// A heartbeat's number 0, and its interest if none was given, are for the caller to fill in.
struct Said {
  ControlFrame frame;
  bool interest_given = false;
};
Said ReadControl(Cast& cast, Words& words);
DataFrame ReadData(Cast& cast, Words& words);

// "beta 5 at beta:7443"
PeerRecord ReadRecord(Cast& cast, Words& words);
std::uint64_t HashOf(const std::vector<Interest>& entries);

// Messages of a batch under their numbers: "news.a 1..3 100B". `marks` says what must not be
// joined.
std::vector<std::string> ShowItems(const BatchRef& batch, const std::vector<flow::Item>& items,
                                   const std::vector<std::string>& marks = {});

}  // namespace peermesh::node

#endif  // PEERMESH_TESTS_MESH_NODE_STORY_FRAMES_H_
