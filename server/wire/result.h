// A value, or why there is none.
//
// Like absl::StatusOr, with an error that programs act on. Not thread-safe beyond what T is.
#ifndef PEERMESH_SERVER_WIRE_RESULT_H_
#define PEERMESH_SERVER_WIRE_RESULT_H_

#include <utility>
#include <variant>

#include "mesh/base/check.h"
#include "server/wire/errors.h"

namespace peermesh::wire {

template <class T, class E = RpcError>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit
  Result(E error) : value_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return value_.index() == 0; }
  // Only if not ok().
  const E& error() const {
    PM_CHECK(!ok());
    return *std::get_if<1>(&value_);
  }
  // Only if ok().
  const T& operator*() const {
    PM_CHECK(ok());
    return *std::get_if<0>(&value_);
  }
  T& operator*() {
    PM_CHECK(ok());
    return *std::get_if<0>(&value_);
  }
  const T* operator->() const { return &**this; }
  T* operator->() { return &**this; }

 private:
  std::variant<T, E> value_;
};

}  // namespace peermesh::wire

#endif  // PEERMESH_SERVER_WIRE_RESULT_H_
