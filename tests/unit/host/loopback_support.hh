// Sockets of this machine's loopback, from the outside: what tests of splices and loopback ports speak to
// them with. All ends here are blocking, with a time limit.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.hh"

namespace sf::host {

inline constexpr int kPatience = 5000;  // milliseconds

inline std::string noise(std::size_t size, std::uint32_t seed) {
  std::string text(size, '\0');
  std::uint32_t state = seed * 2654435761U + 1;
  for (char& c : text) {
    state = state * 1664525U + 1013904223U;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

inline UniqueFd tcp_listener(bool v4, std::uint16_t& port) {
  UniqueFd fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 address{};
  socklen_t size = sizeof(address);
  if (v4) {
    auto* in = reinterpret_cast<sockaddr_in*>(&address);
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in->sin_port = htons(port);
    size = sizeof(sockaddr_in);
  } else {
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    address.sin6_port = htons(port);
  }
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd.get(), 4096) != 0)
    return {};
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin6_port);  // at the same place for both versions
  return fd;
}

// Connected, or at least begun; `type` SOCK_STREAM or SOCK_DGRAM.
inline UniqueFd connected_to(bool v4, std::uint16_t port, int type = SOCK_STREAM) {
  UniqueFd fd(::socket(v4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0));
  sockaddr_in6 address{};
  if (v4) {
    auto* in = reinterpret_cast<sockaddr_in*>(&address);
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in->sin_port = htons(port);
  } else {
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    address.sin6_port = htons(port);
  }
  const socklen_t size = v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0 ? std::move(fd) : UniqueFd();
}

inline bool is_readable(const UniqueFd& fd, int timeout = kPatience) {
  pollfd ready{fd.get(), POLLIN, 0};
  return ::poll(&ready, 1, timeout) > 0;
}

inline UniqueFd accepted(const UniqueFd& listener, int timeout = kPatience) {
  if (!is_readable(listener, timeout)) return {};
  return UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

// {far end, blocking; near end, non-blocking}. `buffer`: of all four buffers, 0 for the kernel's own choice.
inline std::pair<UniqueFd, UniqueFd> tcp_pair(int buffer = 0) {
  std::uint16_t port = 0;
  const UniqueFd listener = tcp_listener(true, port);
  if (buffer != 0) ::setsockopt(listener.get(), SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
  UniqueFd far = connected_to(true, port);
  UniqueFd near = accepted(listener);
  EXPECT_TRUE(far && near);
  if (buffer != 0) {
    for (const UniqueFd* fd : {&far, &near}) {
      ::setsockopt(fd->get(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
      ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
    }
  }
  ::fcntl(near.get(), F_SETFL, O_NONBLOCK);
  return {std::move(far), std::move(near)};
}

inline void send_all(const UniqueFd& fd, const std::string& text) {
  EXPECT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

// What is there now.
inline std::string receive_some(const UniqueFd& fd, std::size_t most = 1 << 20) {
  static std::vector<char> buffer;
  buffer.resize(std::max(most, buffer.size()));
  const ssize_t got = ::recv(fd.get(), buffer.data(), most, MSG_DONTWAIT);
  return got > 0 ? std::string(buffer.data(), static_cast<std::size_t>(got)) : std::string();
}

// Until the FIN; with "..." where there is none in time.
inline std::string receive_to_end(const UniqueFd& fd) {
  std::string all;
  for (;;) {
    if (!is_readable(fd, 1000)) return all + "...";
    char buffer[65536];
    const ssize_t got = ::recv(fd.get(), buffer, sizeof(buffer), 0);
    if (got < 0) return all + "(errno " + std::to_string(errno) + ")";
    if (got == 0) return all;
    all.append(buffer, static_cast<std::size_t>(got));
  }
}

// The errno of a connection's end, after exactly `before`; 0 for a FIN, or where nothing comes.
inline int read_error(const UniqueFd& fd, const std::string& before = {}) {
  std::string all;
  for (;;) {
    if (!is_readable(fd)) return 0;
    char buffer[65536];
    const ssize_t got = ::recv(fd.get(), buffer, sizeof(buffer), 0);
    if (got <= 0) {
      EXPECT_EQ(all, before);
      return got == 0 ? 0 : errno;
    }
    all.append(buffer, static_cast<std::size_t>(got));
  }
}

inline void reset(UniqueFd& fd) {
  const linger none{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &none, sizeof(none));
  fd.reset();
}

inline int open_descriptors() {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    static_cast<void>(entry);
    ++count;
  }
  return count;
}

// No further descriptor can be opened, for as long as it lives.
class NoMoreDescriptors {
 public:
  explicit NoMoreDescriptors(unsigned spare = 0) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    // The limit is on the numbers, of which there may be free ones below the highest: those are filled.
    while (filler_.size() < 1000) {
      UniqueFd fd(::dup(0));
      if (!fd) break;
      filler_.push_back(std::move(fd));
      if (static_cast<int>(filler_.size()) > 1 &&
          filler_.back().get() == filler_[filler_.size() - 2].get() + 1 && filler_.size() > 64) {
        break;
      }
    }
    rlimit lowered = before_;
    lowered.rlim_cur = static_cast<rlim_t>(filler_.back().get()) + 1 + spare;
    ::setrlimit(RLIMIT_NOFILE, &lowered);
  }
  NoMoreDescriptors(const NoMoreDescriptors&) = delete;
  NoMoreDescriptors& operator=(const NoMoreDescriptors&) = delete;
  ~NoMoreDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
  std::vector<UniqueFd> filler_;
};

}  // namespace sf::host
