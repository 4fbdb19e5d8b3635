#include "client/cli/run.h"

int main(int argc, char** argv) { return peermesh::cli::Run(argc, argv); }
