// The whole program but for main().
#ifndef PEERMESH_CLIENT_CLI_RUN_H_
#define PEERMESH_CLIENT_CLI_RUN_H_

namespace peermesh::cli {

// Parses, runs the command, prints its error and returns the exit code. Call once, before any
// thread is started.
int Run(int argc, const char* const* argv);

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_RUN_H_
