// The whole program but for main().
#ifndef PEERMESH_CLIENT_CLI_RUN_H_
#define PEERMESH_CLIENT_CLI_RUN_H_

namespace CLI {
class App;
}

namespace peermesh::cli {

struct Context;

// Every option and command, into an App that is new. `context` must outlive it.
void AddProgram(CLI::App& app, Context& context);

// Parses, runs the command, prints its error and returns the exit code. Call once, before any
// thread is started.
int Run(int argc, const char* const* argv);

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_RUN_H_
