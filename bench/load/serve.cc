// The server's end of everything, in one thread; sending datagrams at a rate takes a second one.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_map>

#include "common.hh"
#include "flow.hh"

namespace sf::load {
namespace {

class Server {
 public:
  Server() : epoll_(epoll_create1(EPOLL_CLOEXEC)) { check(epoll_, "open an epoll"); }

  void listen_at(const std::string& address) {
    listen_stream(address, kEchoPort,
                  [this](int socket) { watch(socket, [socket, this] { echo(socket); }); });
    listen_stream(address, kOneShotPort,
                  [this](int socket) { watch(socket, [socket, this] { answer_once(socket); }); });
    listen_stream(address, kHoldPort,
                  [this](int socket) { watch(socket, [socket, this] { end_if_closed(socket); }); });
    const int echo_socket = bind_datagram(address, kEchoPort, false);
    watch(echo_socket, [echo_socket] { echo_datagrams(echo_socket); });
    for (const bool gro : {false, true}) {
      const int socket = bind_datagram(address, gro ? kGsoFlowPort : kFlowPort, gro);
      auto flow = std::make_shared<Flow>(socket, gro);
      watch(socket, [flow] { flow->receive(); });
    }
  }

  void answer_dns_at(const std::string& address) {
    const int socket = bind_datagram(address, kDnsPort, false);
    watch(socket, [socket] { answer_dns(socket); });
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    while (true) {
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      if (count < 0 && errno != EINTR) fail("wait for events");
      for (int i = 0; i < count; ++i) {
        const auto found = handlers_.find(events[static_cast<std::size_t>(i)].data.fd);
        if (found == handlers_.end()) continue;
        const auto handler = found->second;  // a copy: it may end itself
        (*handler)();
      }
    }
  }

 private:
  // One of the ports for datagrams at a rate: what was received, and what is being sent.
  class Flow {
   public:
    Flow(int socket, bool gro) : socket_(socket), receiver_(gro) {}

    void receive() {
      receiver_.receive(socket_,
                        [this](const FlowHeader& header, const Address& from) { on_request(header, from); });
    }

   private:
    void on_request(const FlowHeader& header, const Address& from) {
      if (header.kind == FlowKind::start && header.test != sending_test_) {
        sending_test_ = header.test;
        done_ = 0;
        std::thread([this, header, from] { send(header, from); }).detach();
      } else if (header.kind == FlowKind::ask) {
        FlowHeader report = header;
        report.kind = FlowKind::report;
        report.received = receiver_.received(header.test);
        if (header.test == done_.load()) {
          report.sent = sent_.datagrams;
          report.elapsed = static_cast<std::uint64_t>(sent_.elapsed);
        }
        static_cast<void>(sendto(socket_, &report, sizeof(report), 0, from.get(), from.size));
      }
    }

    void send(const FlowHeader& plan, const Address& to) {
      sleep_exactly();
      sent_ = send_at_rate(socket_, to, plan);
      stop_segmenting(socket_);
      done_ = plan.test;
      FlowHeader end;
      end.kind = FlowKind::end;
      end.test = plan.test;
      for (int i = 0; i < 3; ++i) {
        static_cast<void>(sendto(socket_, &end, sizeof(end), 0, to.get(), to.size));
        sleep_until(now() + 5 * kMillisecond);
      }
    }

    int socket_;
    FlowReceiver receiver_;
    std::uint32_t sending_test_ = 0;
    Sent sent_;
    std::atomic<std::uint32_t> done_{0};
  };

  using Handler = std::function<void()>;

  void watch(int socket, Handler handler) {
    handlers_[socket] = std::make_shared<Handler>(std::move(handler));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = socket;
    check(epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event), "watch a socket");
  }

  void end(int socket) {
    handlers_.erase(socket);
    close(socket);
  }

  static void bind_to(int socket, const std::string& address, std::uint16_t port) {
    set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1, "set SO_REUSEADDR");
    const Address at(address, port);
    check(bind(socket, at.get(), at.size), "bind");
  }

  void listen_stream(const std::string& address, std::uint16_t port, std::function<void(int)> accepted) {
    const int listener =
        socket(Address(address, port).family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    check(listener, "open a socket");
    bind_to(listener, address, port);
    check(listen(listener, 4096), "listen");
    watch(listener, [listener, accepted = std::move(accepted)] {
      int client = -1;
      while ((client = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        set_option(client, IPPROTO_TCP, TCP_NODELAY, 1, "set TCP_NODELAY");
        accepted(client);
      }
    });
  }

  static int bind_datagram(const std::string& address, std::uint16_t port, bool gro) {
    const int made = flow_socket(Address(address, port).family(), gro);
    bind_to(made, address, port);
    return made;
  }

  void echo(int socket) {
    std::array<char, 65536> buffer;
    const ssize_t got = recv(socket, buffer.data(), buffer.size(), 0);
    if (got > 0) {
      static_cast<void>(send(socket, buffer.data(), static_cast<std::size_t>(got), 0));
    } else if (got == 0 || errno != EAGAIN) {
      end(socket);
    }
  }

  // A request always comes in one segment here.
  void answer_once(int socket) {
    std::array<char, kMessage> buffer{};
    const ssize_t got = recv(socket, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got > 0) static_cast<void>(send(socket, buffer.data(), buffer.size(), 0));
    end(socket);
  }

  void end_if_closed(int socket) {
    char byte = 0;
    if (recv(socket, &byte, 1, 0) == 0 || errno != EAGAIN) end(socket);
  }

  template <typename Change>
  static void reply_all(int socket, Change&& change) {
    std::array<std::uint8_t, 2048> buffer;
    for (int i = 0; i < 64; ++i) {
      Address from;
      from.size = sizeof(from.bytes);
      const ssize_t got = recvfrom(socket, buffer.data(), 1500, MSG_DONTWAIT,
                                   reinterpret_cast<sockaddr*>(&from.bytes), &from.size);
      if (got < 0) return;
      const std::size_t length = change(buffer.data(), static_cast<std::size_t>(got));
      static_cast<void>(sendto(socket, buffer.data(), length, MSG_DONTWAIT, from.get(), from.size));
    }
  }

  static void echo_datagrams(int socket) {
    reply_all(socket, [](std::uint8_t*, std::size_t length) { return length; });
  }

  // One A record, 192.0.2.1, whatever the question (RFC 1035 section 4.1). The question is the last thing in
  // what `requests --protocol=dns` asks; an EDNS record behind it is left out of the answer.
  static void answer_dns(int socket) {
    reply_all(socket, [](std::uint8_t* message, std::size_t length) -> std::size_t {
      if (length < 12) return length;
      std::size_t end = 12;
      while (end < length && message[end] != 0) end += message[end] + 1U;
      end += 5;
      if (end > length) return length;
      message[2] = 0x84;
      message[3] = 0x80;
      std::memset(message + 6, 0, 6);
      message[7] = 1;
      constexpr std::array<std::uint8_t, 16> kAnswer = {0xc0, 12, 0, 1, 0,   1, 0, 0,
                                                        0,    60, 0, 4, 192, 0, 2, 1};
      std::memcpy(message + end, kAnswer.data(), kAnswer.size());
      return end + kAnswer.size();
    });
  }

  int epoll_;
  std::unordered_map<int, std::shared_ptr<Handler>> handlers_;
};

}  // namespace

int serve(const Options& options) {
  raise_descriptor_limit();
  Server server;
  for (const std::string& address : options.rest()) server.listen_at(address);
  if (const std::string dns = options.text("dns"); !dns.empty()) server.answer_dns_at(dns);
  std::puts("ready");
  std::fflush(stdout);
  server.run();
}

}  // namespace sf::load
