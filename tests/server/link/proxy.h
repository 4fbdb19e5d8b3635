// A TCP proxy that can stop reading: what a peer looks like that is stopped, or whose packets are
// dropped, while its connections stay open.
#ifndef PEERMESH_TESTS_SERVER_LINK_PROXY_H_
#define PEERMESH_TESTS_SERVER_LINK_PROXY_H_

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace peermesh::link {

class Proxy {
 public:
  // Forwards connections to `target`, "127.0.0.1:port".
  explicit Proxy(const std::string& target);
  ~Proxy();
  const std::string& address() const { return address_; }
  // From now on nothing is read or forwarded in either direction.
  void Freeze() { frozen_ = true; }

 private:
  struct Pair {
    int fds[2];
  };
  void Run();

  std::string address_;
  int target_port_ = 0;
  int listener_ = -1;
  std::atomic<bool> frozen_{false}, stopped_{false};
  std::vector<Pair> pairs_;
  std::thread thread_;
};

}  // namespace peermesh::link

#endif  // PEERMESH_TESTS_SERVER_LINK_PROXY_H_
