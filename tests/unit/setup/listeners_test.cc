#include "setup/listeners.hh"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/unique_fd.hh"
#include "unit/support/own_namespace.hh"

namespace sf::setup {
namespace {

Listener tcp(const char* address, std::uint16_t port, bool both = false) {
  return {true, both, {*Address::parse(address), port}};
}
Listener udp(const char* address, std::uint16_t port) {
  return {false, false, {*Address::parse(address), port}};
}

// Bound, and for TCP listening.
UniqueFd open_at(const Listener& at, bool v6_only = true) {
  const bool v4 = at.at.address.is_v4();
  UniqueFd fd(::socket(v4 ? AF_INET : AF_INET6, (at.tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
  sockaddr_in6 address{};
  const std::string text = at.at.address.to_string();
  if (v4) {
    auto* in = reinterpret_cast<sockaddr_in*>(&address);
    in->sin_family = AF_INET;
    in->sin_port = htons(at.at.port);
    ::inet_pton(AF_INET, text.c_str(), &in->sin_addr);
  } else {
    const int only = v6_only ? 1 : 0;
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(at.at.port);
    ::inet_pton(AF_INET6, text.c_str(), &address.sin6_addr);
  }
  const socklen_t size = v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return {};
  if (at.tcp && ::listen(fd.get(), 1) != 0) return {};
  return fd;
}

TEST(Listeners, none_in_an_empty_namespace) {
  test::in_own_namespace([] {
    const auto found = find_listeners();
    CHILD_EXPECT(found.has_value());
    CHILD_EXPECT(found->empty());
    return 0;
  });
}

TEST(Listeners, each_kind_is_found) {
  test::in_own_namespace([] {
    const std::vector<Listener> wanted{tcp("127.0.0.1", 80),    tcp("::1", 81),       tcp("0.0.0.0", 82),
                                       tcp("127.0.0.2", 65535), udp("127.0.0.1", 53), udp("::1", 54)};
    std::vector<UniqueFd> held;
    for (const Listener& at : wanted) {
      held.push_back(open_at(at));
      CHILD_EXPECT(held.back());
    }
    auto found = find_listeners();
    CHILD_EXPECT(found.has_value());
    CHILD_EXPECT(std::ranges::is_sorted(*found));
    std::vector<Listener> sorted = wanted;
    std::ranges::sort(sorted);
    CHILD_EXPECT(*found == sorted);
    held.clear();
    CHILD_EXPECT(find_listeners()->empty());
    return 0;
  });
}

TEST(Listeners, an_ipv6_socket_says_whether_it_takes_ipv4) {
  test::in_own_namespace([] {
    const UniqueFd both = open_at(tcp("::", 80), false);
    const UniqueFd only = open_at(tcp("::", 81), true);
    CHILD_EXPECT(*find_listeners() == (std::vector{tcp("::", 81), tcp("::", 80, true)}));
    return 0;
  });
}

TEST(Listeners, not_what_only_looks_like_one) {
  test::in_own_namespace([] {
    CHILD_EXPECT(test::shell("echo 40000 50000 > /proc/sys/net/ipv4/ip_local_port_range"));
    const UniqueFd client_port = open_at(udp("127.0.0.1", 45000));  // of the range for clients
    const UniqueFd high = open_at(tcp("127.0.0.1", 45000));         // TCP sockets say that they listen
    UniqueFd connected = open_at(udp("127.0.0.1", 53));
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(54);
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHILD_EXPECT(::connect(connected.get(), reinterpret_cast<sockaddr*>(&peer), sizeof(peer)) == 0);
    CHILD_EXPECT(client_port && high);
    CHILD_EXPECT(*find_listeners() == std::vector{tcp("127.0.0.1", 45000)});
    return 0;
  });
}

// More than one message of the kernel's.
TEST(Listeners, many) {
  test::in_own_namespace([] {
    std::vector<UniqueFd> held;
    for (std::uint16_t port = 2000; port < 2900; ++port) held.push_back(open_at(tcp("127.0.0.1", port)));
    CHILD_EXPECT(find_listeners()->size() == 900);
    return 0;
  });
}

TEST(Listeners, cross_a_channel_as_text) {
  const std::vector<Listener> all{tcp("127.0.0.1", 80), tcp("::", 81, true), udp("fd00::100", 65535)};
  EXPECT_EQ(describe(all, 1000), "tcp 80 127.0.0.1\ntcp+ 81 ::\nudp 65535 fd00::100\n");
  EXPECT_EQ(parse_listeners(describe(all, 1000)), all);
  EXPECT_EQ(parse_listeners(describe(all, 40)), std::vector(all.begin(), all.begin() + 2)) << "whole lines";
  EXPECT_TRUE(parse_listeners("").empty());
}

TEST(Listeners, what_makes_no_sense_is_passed_over) {
  EXPECT_EQ(parse_listeners("tcp 80 127.0.0.1\nnonsense\n\ntcp\ntcp 80\ntcp  127.0.0.1\ntcp 0 127.0.0.1\n"
                            "tcp 65536 127.0.0.1\ntcp -1 ::1\ntcp 8x 127.0.0.1\nsctp 80 127.0.0.1\n"
                            " 80 127.0.0.1\ntcp 80 localhost\ntcp 81 ::1"),
            (std::vector{tcp("127.0.0.1", 80), tcp("::1", 81)}));
}

}  // namespace
}  // namespace sf::setup
