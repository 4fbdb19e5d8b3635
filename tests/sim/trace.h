// Facts and wishes as short text, for people who follow a run (`meshsim run --trace 10s..11s`).
#ifndef PEERMESH_TESTS_SIM_TRACE_H_
#define PEERMESH_TESTS_SIM_TRACE_H_

#include <string>

#include "mesh/node/effect.h"
#include "mesh/node/input.h"

namespace peermesh::sim {

std::string Describe(const node::Input& fact);
std::string Describe(const node::Effect& wish);

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_TRACE_H_
