// The manual: pages for man(1), made from the commands as the parser has them and from guide.h.
//
// One page for the program and one for each of its commands, which holds what is below it:
// peermesh(1), peermesh-leaks(1). man-db finds the second as `man peermesh leaks`, too.
#ifndef PEERMESH_CLIENT_CLI_MANUAL_H_
#define PEERMESH_CLIENT_CLI_MANUAL_H_

#include <string>
#include <string_view>

#include "client/cli/command_tree.h"

namespace peermesh::cli {

// "peermesh-leaks", for the first command of a path.
std::string PageOf(std::string_view path);

// The source of a page, in the macros of man(7). `command` is the program or one of its commands;
// `date` stands in the footer: "2026-11-21".
std::string Manual(const CommandModel& command, std::string_view date);

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_MANUAL_H_
