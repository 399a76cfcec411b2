// Requests one after the other on each of several connections or sockets: TCP, UDP and DNS.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "common.hh"

namespace sf::load {
namespace {

constexpr std::int64_t kLost = 250 * kMillisecond;  // a datagram without a reply is sent again after this

struct Client {
  int socket = -1;
  std::int64_t asked = 0;
  std::size_t got = 0;
  std::uint16_t id = 0;
  std::int64_t next = 0;  // with a pause: when to ask, 0 while it waits for a reply
};

class Requests {
 public:
  explicit Requests(const Options& options)
      : protocol_(options.text("protocol", "tcp")),
        to_(options.text("to"),
            protocol_ == "dns" ? kDnsPort : static_cast<std::uint16_t>(options.number("port", kEchoPort))),
        duration_(static_cast<std::int64_t>(options.real("seconds", 1) * 1e9)),
        clients_(static_cast<std::size_t>(options.number("parallel", 1))),
        pause_(options.number("pause", 0) * kMillisecond),
        epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    check(epoll_, "open an epoll");
    latencies_.reserve(1 << 20);
    if (pause_ > 0) raise_descriptor_limit();
    for (std::size_t i = 0; i < clients_.size(); ++i) open(i);
  }

  int run() {
    const std::int64_t begin = now();
    // With a pause, all through its length.
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      clients_[i].next =
          begin + pause_ * static_cast<std::int64_t>(i) / static_cast<std::int64_t>(clients_.size());
      if (pause_ == 0) ask(clients_[i]);
    }
    std::int64_t time = begin;
    while (time < begin + duration_) {
      wait();
      time = now();
      if (protocol_ != "tcp") ask_again(time);
      if (pause_ > 0) ask_those_that_paused(time);
    }
    const double seconds = static_cast<double>(now() - begin) / 1e9;
    const auto count = latencies_.size();
    if (count == 0) give_up("no request was answered");
    std::printf("{\"rate\": %.1f, \"p50\": %.2f, \"p99\": %.2f, \"lost\": %llu, \"count\": %zu}\n",
                static_cast<double>(count) / seconds, percentile(latencies_, 0.5) / 1000,
                percentile(latencies_, 0.99) / 1000, static_cast<unsigned long long>(lost_), count);
    return 0;
  }

 private:
  void open(std::size_t index) {
    Client& client = clients_[index];
    client.socket = socket(to_.family(), (protocol_ == "tcp" ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
    check(client.socket, "open a socket");
    check(connect(client.socket, to_.get(), to_.size), "connect");
    if (protocol_ == "tcp") set_option(client.socket, IPPROTO_TCP, TCP_NODELAY, 1, "set TCP_NODELAY");
    set_nonblocking(client.socket);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = index;
    check(epoll_ctl(epoll_, EPOLL_CTL_ADD, client.socket, &event), "watch a socket");
  }

  void ask(Client& client) {
    std::array<std::uint8_t, kMessage> message{};
    std::size_t length = message.size();
    ++client.id;
    message[0] = static_cast<std::uint8_t>(client.id >> 8);
    message[1] = static_cast<std::uint8_t>(client.id);
    if (protocol_ == "dns") {
      // A question for the address of www.example.com, recursion desired (RFC 1035 section 4.1).
      constexpr std::array<std::uint8_t, 31> kQuestion = {
          1,   0,   0,   1,   0,   0,   0, 0,   0,   0,   3, 'w', 'w', 'w', 7, 'e',
          'x', 'a', 'm', 'p', 'l', 'e', 3, 'c', 'o', 'm', 0, 0,   1,   0,   1};
      std::memcpy(message.data() + 2, kQuestion.data(), kQuestion.size());
      length = 2 + kQuestion.size();
    }
    client.asked = now();
    client.got = 0;
    if (send(client.socket, message.data(), length, 0) < 0 && errno != ECONNREFUSED && errno != ENOBUFS) {
      fail("send a request");
    }
  }

  void wait() {
    std::array<epoll_event, 64> events;
    const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 20);
    if (count < 0 && errno != EINTR) fail("wait for replies");
    for (int i = 0; i < count; ++i) on_reply(clients_[events[static_cast<std::size_t>(i)].data.u64]);
  }

  void on_reply(Client& client) {
    std::array<std::uint8_t, 2048> reply;
    const ssize_t got = recv(client.socket, reply.data(), reply.size(), 0);
    if (got == 0) give_up("the server ended a connection");
    if (got < 0) {
      if (errno == EAGAIN || errno == ECONNREFUSED) return;
      fail("receive a reply");
    }
    if (protocol_ == "tcp") {
      client.got += static_cast<std::size_t>(got);
      if (client.got < kMessage) return;
    } else if (got < 2 || reply[0] != client.id >> 8 || reply[1] != (client.id & 0xff)) {
      return;  // of a request that was given up
    } else if (protocol_ == "dns" && (got < 12 || (reply[3] & 0x0f) != 0 || reply[7] == 0)) {
      give_up("a DNS reply without an answer");
    }
    latencies_.push_back(
        static_cast<std::uint32_t>(std::min<std::int64_t>(now() - client.asked, UINT32_MAX)));
    if (pause_ == 0) return ask(client);
    client.next = client.asked + pause_;
  }

  void ask_those_that_paused(std::int64_t time) {
    if (time < look_at_) return;
    look_at_ = time + 5 * kMillisecond;
    for (auto& client : clients_) {
      if (client.next == 0 || time < client.next) continue;
      client.next = 0;
      ask(client);
    }
  }

  void ask_again(std::int64_t time) {
    if (time < look_at_) return;
    look_at_ = time + 20 * kMillisecond;
    for (auto& client : clients_) {
      if (time - client.asked < kLost) continue;
      ++lost_;
      ask(client);
    }
  }

  std::string protocol_;
  Address to_;
  std::int64_t duration_;
  std::vector<Client> clients_;
  std::int64_t pause_;  // from a request to the next one; 0: at once
  int epoll_;
  std::vector<std::uint32_t> latencies_;
  std::uint64_t lost_ = 0;
  std::int64_t look_at_ = 0;
};

}  // namespace

int requests(const Options& options) {
  return Requests(options).run();
}

}  // namespace sf::load
