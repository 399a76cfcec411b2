// What the parts of the load tool share. It is a measuring device for the lab: on any error that is not part
// of what it measures it says so and ends.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sf::load {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::size_t kMessage = 64;  // a request, and a reply

// The server's ports.
constexpr std::uint16_t kEchoPort = 6001;     // TCP and UDP
constexpr std::uint16_t kOneShotPort = 6002;  // TCP: answers one request and closes
constexpr std::uint16_t kHoldPort = 6003;     // TCP: accepts, and stays silent
constexpr std::uint16_t kFlowPort = 6004;     // UDP: receives and sends at a rate
constexpr std::uint16_t kGsoFlowPort = 6005;  // the same with UDP_GRO
constexpr std::uint16_t kDnsPort = 53;

[[noreturn]] void fail(const std::string& what);     // with errno's text
[[noreturn]] void give_up(const std::string& what);  // without
[[nodiscard]] std::int64_t now();                    // monotonic, nanoseconds
void check(int result, const char* what);            // fails where it is negative

struct Address {
  sockaddr_storage bytes{};
  socklen_t size = 0;

  Address() = default;
  Address(const std::string& text, std::uint16_t port);
  [[nodiscard]] const sockaddr* get() const;
  [[nodiscard]] int family() const { return bytes.ss_family; }
};

// The command line after the first word: --name=value, and what follows "--".
class Options {
 public:
  Options(int argc, char** argv);
  [[nodiscard]] std::string text(const std::string& name, const std::string& otherwise = "") const;
  [[nodiscard]] std::int64_t number(const std::string& name, std::int64_t otherwise) const;
  [[nodiscard]] double real(const std::string& name, double otherwise) const;
  [[nodiscard]] const std::vector<std::string>& rest() const { return rest_; }

 private:
  std::map<std::string, std::string> values_;
  std::vector<std::string> rest_;
};

// Sets a socket option that is an int.
void set_option(int socket, int level, int name, int value, const char* what);
void set_nonblocking(int socket);
void raise_descriptor_limit();
// As short a timer slack as there is, so that a pause of 100 µs is one.
void sleep_exactly();
void sleep_until(std::int64_t time);

// Latencies in nanoseconds; sorts them.
[[nodiscard]] double percentile(std::vector<std::uint32_t>& sorted, double part);

int serve(const Options& options);
int requests(const Options& options);    // many connections or sockets, request by request
int one_shots(const Options& options);   // a connection for each request
int datagrams(const Options& options);   // the highest rate with little loss
int hold(const Options& options);        // idle connections
int flood(const Options& options);       // what a hostile guest sends
int time_start(const Options& options);  // from a program's start until it says that it is ready

}  // namespace sf::load
