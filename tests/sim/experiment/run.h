// One run of an experiment: one case, one seed.
#ifndef PEERMESH_TESTS_SIM_EXPERIMENT_RUN_H_
#define PEERMESH_TESTS_SIM_EXPERIMENT_RUN_H_

#include <cstdint>

#include "tests/sim/experiment/figures.h"
#include "tests/sim/experiment/plan.h"

namespace peermesh::sim::experiment {

class Stage;

// Deterministic but for the figures of time and memory, which no digest holds.
Outcome RunPlan(const Plan& plan, std::uint64_t seed);

// What is measured or done, each in the file of its subject; figures go to the stage's outcome.
void Perform(Stage& stage, const Join& join);            // run.cc
void Perform(Stage& stage, const Rest& rest);            // run.cc
void Perform(Stage& stage, const Fail& fail);            // run.cc
void Perform(Stage& stage, const Broadcast& broadcast);  // run.cc
void Perform(Stage& stage, const Offered& load);         // run.cc
void Perform(Stage& stage, const Balance& balance);      // run.cc
void Perform(Stage& stage, const WatchContact& watch);   // run.cc
void Perform(Stage& stage, const Measure& measure);      // measures.cc
void Perform(Stage& stage, const Crashes& crashes);      // failures.cc
void Perform(Stage& stage, const Pauses& pauses);        // failures.cc
void Perform(Stage& stage, const Grey& grey);            // grey.cc
void Perform(Stage& stage, const Split& split);          // split.cc

}  // namespace peermesh::sim::experiment

#endif  // PEERMESH_TESTS_SIM_EXPERIMENT_RUN_H_
