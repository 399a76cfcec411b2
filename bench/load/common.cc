#include "common.hh"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sf::load {

void fail(const std::string& what) {
  std::fprintf(stderr, "bench_load: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

void give_up(const std::string& what) {
  std::fprintf(stderr, "bench_load: %s\n", what.c_str());
  std::exit(1);
}

std::int64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

void check(int result, const char* what) {
  if (result < 0) fail(what);
}

Address::Address(const std::string& text, std::uint16_t port) {
  if (text.find(':') != std::string::npos) {
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
    if (inet_pton(AF_INET6, text.c_str(), &six.sin6_addr) != 1) give_up("not an address: " + text);
    std::memcpy(&bytes, &six, sizeof(six));
    size = sizeof(six);
    return;
  }
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(port);
  if (inet_pton(AF_INET, text.c_str(), &four.sin_addr) != 1) give_up("not an address: '" + text + "'");
  std::memcpy(&bytes, &four, sizeof(four));
  size = sizeof(four);
}

const sockaddr* Address::get() const {
  return reinterpret_cast<const sockaddr*>(&bytes);
}

Options::Options(int argc, char** argv) {
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--") {
      rest_.assign(argv + i + 1, argv + argc);
      return;
    }
    const auto equals = word.find('=');
    if (word.substr(0, 2) != "--" || equals == std::string::npos) give_up("not --name=value: " + word);
    values_[word.substr(2, equals - 2)] = word.substr(equals + 1);
  }
}

std::string Options::text(const std::string& name, const std::string& otherwise) const {
  const auto found = values_.find(name);
  return found == values_.end() ? otherwise : found->second;
}

std::int64_t Options::number(const std::string& name, std::int64_t otherwise) const {
  const auto found = values_.find(name);
  return found == values_.end() ? otherwise : std::atoll(found->second.c_str());
}

double Options::real(const std::string& name, double otherwise) const {
  const auto found = values_.find(name);
  return found == values_.end() ? otherwise : std::atof(found->second.c_str());
}

void set_option(int socket, int level, int name, int value, const char* what) {
  check(setsockopt(socket, level, name, &value, sizeof(value)), what);
}

void set_nonblocking(int socket) {
  check(fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK), "make a socket non-blocking");
}

void raise_descriptor_limit() {
  rlimit limit{};
  check(getrlimit(RLIMIT_NOFILE, &limit), "read the limit of descriptors");
  limit.rlim_cur = limit.rlim_max;
  check(setrlimit(RLIMIT_NOFILE, &limit), "raise the limit of descriptors");
}

void sleep_exactly() {
  check(prctl(PR_SET_TIMERSLACK, 1000), "set the timer slack");
}

void sleep_until(std::int64_t time) {
  const timespec until{time / kSecond, time % kSecond};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
  }
}

double percentile(std::vector<std::uint32_t>& values, double part) {
  if (values.empty()) return 0;
  const auto at =
      std::min(values.size() - 1, static_cast<std::size_t>(static_cast<double>(values.size()) * part));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

}  // namespace sf::load
