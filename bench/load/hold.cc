// Many idle connections, until standard input ends.
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "common.hh"

namespace sf::load {

int hold(const Options& options) {
  raise_descriptor_limit();
  const Address to(options.text("to"), kHoldPort);
  const auto count = static_cast<std::size_t>(options.number("count", 10000));
  std::vector<int> sockets;
  while (sockets.size() < count) {
    const int made = socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(made, "open a socket");
    if (connect(made, to.get(), to.size) < 0) fail("connection " + std::to_string(sockets.size() + 1));
    sockets.push_back(made);
  }
  std::puts("ready");
  std::fflush(stdout);
  char byte = 0;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  std::size_t open = 0;
  for (const int each : sockets) open += recv(each, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN ? 1U : 0U;
  std::printf("{\"open\": %zu}\n", open);
  return 0;
}

}  // namespace sf::load
