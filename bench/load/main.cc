// The benchmarks' load generator: both ends of every row but TCP streams (iperf3) and nginx (wrk). Each
// command prints one line of JSON. `serve` runs in the lab's wan; the others run inside the contender.
#include <csignal>
#include <cstdio>
#include <cstring>

#include "common.hh"

namespace {

struct Command {
  const char* name;
  int (*run)(const sf::load::Options&);
};

constexpr Command kCommands[] = {
    {"serve", sf::load::serve},         {"requests", sf::load::requests},
    {"one-shots", sf::load::one_shots}, {"datagrams", sf::load::datagrams},
    {"hold", sf::load::hold},           {"time-start", sf::load::time_start},
    {"flood", sf::load::flood},
};

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  for (const Command& command : kCommands) {
    if (argc > 1 && std::strcmp(argv[1], command.name) == 0)
      return command.run(sf::load::Options(argc, argv));
  }
  std::fputs("usage: bench_load serve|requests|one-shots|datagrams|hold|time-start|flood --NAME=VALUE ...\n",
             stderr);
  return 2;
}
