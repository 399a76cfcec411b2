// Every system call of the Linux host's in turn fails, in a run with a stream out, a published port, UDP both
// ways, and ports to a loopback: no crash, no hang, no descriptor left open, and whatever was not hit works.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/socket.h>

#include <cstring>
#include <set>
#include <tuple>

#include "faults/shim.hh"
#include "host/loopback_ports.hh"
#include "unit/host/host_fixture.hh"
#include "unit/host/loopback_support.hh"

namespace sf::host {
namespace {

constexpr std::size_t kBytes = 300'000;

// The other side of everything: in one thread with what is under test, so never blocking.
class OtherSide {
 public:
  explicit OtherSide(UniqueFd fd) : fd_(std::move(fd)) { ::fcntl(fd_.get(), F_SETFL, O_NONBLOCK); }
  // What has come goes back.
  void echo() {
    std::array<char, 65536> bytes;
    while (fd_ && waiting_.empty()) {
      const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
      if (got < 0 && errno == EAGAIN) break;
      if (got <= 0) return fd_.reset();
      waiting_.assign(bytes.data(), static_cast<std::size_t>(got));
      flush();
    }
    flush();
  }
  // All of a text there and, from the echo, back; then the end.
  void talk(const std::string& text) {
    if (!fd_) return;
    if (!started_) waiting_ = text;
    started_ = true;
    flush();
    std::array<char, 65536> bytes;
    for (ssize_t got = 0; (got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0)) > 0;)
      heard_.append(bytes.data(), static_cast<std::size_t>(got));
    if (errno != EAGAIN) broken_ = true;
    if (heard_ == text) done_ = true;
    if (done_ || broken_) fd_.reset();
  }
  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] bool over() const { return done_ || broken_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  void flush() {
    const ssize_t sent = ::send(fd_.get(), waiting_.data(), waiting_.size(), MSG_NOSIGNAL);
    if (sent > 0) waiting_.erase(0, static_cast<std::size_t>(sent));
    if (sent < 0 && errno != EAGAIN) broken_ = true;
  }
  UniqueFd fd_;
  std::string waiting_;
  std::string heard_;
  bool started_ = false;
  bool done_ = false;
  bool broken_ = false;
};

// A stream of the host's that says a text and hears it again, as a reactor would.
class Stream {
 public:
  SocketId socket = kNoSocket;
  bool connected = false;
  std::size_t sent = 0;
  std::size_t heard = 0;
  bool failed = false;
  [[nodiscard]] bool done() const { return heard == kBytes && sent == kBytes; }
  [[nodiscard]] bool over() const { return failed || done(); }

  void run(LinuxHost& host, const std::vector<std::uint8_t>& text, bool echo) {
    if (socket == kNoSocket || over()) return;
    work(host, text, echo);
    if (!failed) return;
    host.abort(socket);
    socket = kNoSocket;
  }

 private:
  void work(LinuxHost& host, const std::vector<std::uint8_t>& text, bool echo) {
    if (!connected) {
      const HostError outcome = host.finish_connect(socket);
      if (outcome == HostError::in_progress) return;
      failed = outcome != HostError::none;
      connected = !failed;
    }
    std::array<std::uint8_t, 65536> buffer;
    while (!failed) {
      const MutBytes into[] = {buffer};
      const IoResult got = host.receive(socket, into);
      heard += got.bytes;
      if (got.error == HostError::would_block) break;
      failed = got.error != HostError::none || got.bytes == 0;
    }
    const std::size_t limit = echo ? heard : text.size();
    while (!failed && sent < limit) {
      const Bytes piece[] = {Bytes{text}.subspan(sent, limit - sent)};
      const IoResult put = host.send(socket, piece);
      sent += put.bytes;
      if (put.error == HostError::would_block) break;
      failed = put.error != HostError::none;
    }
  }
};

struct Outcome {
  std::set<std::string> failed;
  bool ended = false;
};

// One run. Its reactor acts on events alone, so that one that is lost makes it hang.
class Run final : public Reactor {
 public:
  static constexpr Duration kPatience = 4s;

  explicit Run(bool v4) : v4_(v4) {}

  Outcome go() {
    {
      const faults::Aside aside;
      servers();
    }
    open();
    const auto ended = loop_->run(*this, -1);
    const faults::Aside aside;
    Outcome outcome;
    outcome.ended = ended.has_value() && all_over();
    note(outcome, "stream", out_.done());
    note(outcome, "published", client_ && client_->done());
    note(outcome, "udp", answered_);
    note(outcome, "published udp", served_);
    note(outcome, "loopback", inside_ && inside_->done());
    for (const SocketId socket : {out_.socket, in_.socket, listener_, udp_, port_}) {
      if (socket != kNoSocket) host_.close(socket);
    }
    EXPECT_EQ(host_.open_sockets(), 0U);
    return outcome;
  }

  void on_link_readable(Time) override {}
  void on_socket_event(Token token, Readiness, Time) override {
    if (token == kOut) out_.run(host_, text_, false);
    if (token == kIn) in_.run(host_, heard_, true);
    if (token == kListener) accept();
    if (token == kUdp) receive();
    if (token == kPort) serve();
  }
  Time end_turn(Time now) override {
    for (const GuestSocketKind kind : std::exchange(asked_, {})) answer(kind);
    const faults::Aside aside;
    if (began_ == kNever) began_ = now;
    if (UniqueFd fd{::accept4(echo_listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)})
      echo_.emplace(std::move(fd));
    if (UniqueFd fd{::accept4(guest_listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)})
      guest_.emplace(std::move(fd));
    if (echo_) echo_->echo();
    if (guest_) guest_->echo();
    if (client_) client_->talk(spoken_);
    if (inside_) inside_->talk(spoken_);
    Endpoint from;
    if (const auto datagram = udp_peer_->receive_from(from); !datagram.empty())
      (void)udp_peer_->send_to(from, datagram);
    if (!udp_client_->receive_from(from).empty()) served_ = true;
    ask_again(now);
    over_ = all_over() || now - began_ > kPatience;
    return now + 500us;
  }
  bool alive() const override { return !over_; }

 private:
  static constexpr Token kOut = 1;
  static constexpr Token kListener = 2;
  static constexpr Token kIn = 3;
  static constexpr Token kUdp = 4;
  static constexpr Token kPort = 5;

  static void note(Outcome& outcome, const char* name, bool good) {
    if (!good) outcome.failed.insert(name);
  }
  [[nodiscard]] bool all_over() const {
    return out_.over() && (!client_ || client_->over()) && (!inside_ || inside_->over()) &&
           (answered_ || udp_ == kNoSocket) && (served_ || port_ == kNoSocket);
  }
  void servers() {
    echo_listener_ = tcp_listener(v4_, echo_port_);
    guest_listener_ = tcp_listener(v4_, guest_port_);
    for (const UniqueFd* fd : {&echo_listener_, &guest_listener_}) ::fcntl(fd->get(), F_SETFL, O_NONBLOCK);
    for (std::optional<Peer>* peer : {&udp_peer_, &udp_client_}) {
      peer->emplace(SOCK_DGRAM, local_);
      ::fcntl((*peer)->fd(), F_SETFL, O_NONBLOCK);
    }
  }
  // What is under test; each may fail.
  void open() {
    if (const auto published = host_.listen_stream({local_, 0}, kListener, PortSharing::none))
      listener_ = *published;
    const auto loopback =
        ports_.add({.stream = true, .host_address = local_, .guest_address = {}, .guest_port = guest_port_});
    if (const auto stream = host_.connect_stream({local_, echo_port_}, kOut)) out_.socket = *stream;
    out_.failed = out_.socket == kNoSocket;
    if (const auto udp = host_.open_datagram(DatagramKind::udp, v4_, kUdp)) udp_ = *udp;
    if (const auto port = host_.bind_datagram({local_, 0}, kPort)) port_ = *port;
    const faults::Aside aside;
    if (listener_ != kNoSocket) client_.emplace(connected_to(v4_, host_.local_endpoint(listener_).port));
    if (loopback) inside_.emplace(connected_to(v4_, loopback->rule.host_port));
  }
  // The process inside, whose calls are not this one's.
  void answer(GuestSocketKind kind) {
    std::vector<UniqueFd> made;
    {
      const faults::Aside aside;
      made.emplace_back(
          ::socket(kind.v4 ? AF_INET : AF_INET6, (kind.stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
    }
    ports_.on_sockets(kind, std::move(made));
  }
  void accept() {
    while (in_.socket == kNoSocket) {
      const auto client = host_.accept_stream(listener_);
      // As the engine does: whoever finds no descriptor tries again; here at the next turn.
      retry_accept_ = !client && client.error() != HostError::would_block;
      // A signal, or a client that has gone already, is no fault of the listener's.
      if (!client) {
        EXPECT_NE(client.error(), HostError::other);
      }
      if (!client) return;
      in_.socket = client->socket;
      in_.connected = true;
      if (!host_.watch(in_.socket, kIn)) {
        host_.abort(in_.socket);
        in_.socket = kNoSocket;
        return;
      }
    }
  }
  void receive() {
    while (!host_.receive_datagrams(udp_).empty()) answered_ = true;
    DatagramError error;
    while (host_.receive_error(udp_, error)) {
    }
  }
  // What comes to the published UDP port goes back by it.
  void serve() {
    for (auto received = host_.receive_datagrams(port_); !received.empty();
         received = host_.receive_datagrams(port_)) {
      for (const ReceivedDatagram& datagram : received) {
        static_cast<void>(host_.send_datagram(port_, datagram.from, datagram.payload, {}));
      }
    }
    DatagramError error;
    while (host_.receive_error(port_, error)) {
    }
  }
  // A datagram that was lost is sent again, as by any client.
  void ask_again(Time now) {
    if (now < ask_at_) return;
    ask_at_ = now + 50ms;
    again_ = udp_ != kNoSocket && !answered_;
    if (port_ == kNoSocket || served_) return;
    static constexpr std::array<std::uint8_t, 3> kQuestion{1, 2, 3};
    (void)udp_client_->send_to({local_, host_.local_endpoint(port_).port}, kQuestion);
  }

 public:
  // Called by the loop's hook, with calls counted again.
  void unfinished() {
    if (std::exchange(again_, false)) {
      static constexpr std::array<std::uint8_t, 3> kQuestion{1, 2, 3};
      static_cast<void>(host_.send_datagram(udp_, udp_peer_->endpoint(), kQuestion, {}));
    }
    if (std::exchange(retry_accept_, false)) accept();
  }

 private:
  bool v4_;
  const Address local_ = v4_ ? Address::v4(127, 0, 0, 1) : Address().plus(1);
  std::unique_ptr<EventLoop> loop_ = make_loop();
  Log log_{LogLevel::error, [](LogLevel, std::string_view) {}};
  LinuxHost host_{*loop_, {}};
  std::vector<GuestSocketKind> asked_;
  LoopbackPorts ports_{
      *loop_, [this](GuestSocketKind kind, unsigned) { asked_.push_back(kind); }, 0, {}, log_};
  const std::vector<std::uint8_t> text_ = sf::host::pattern(kBytes);
  const std::string spoken_ = sf::host::noise(kBytes, 7);
  const std::vector<std::uint8_t> heard_{spoken_.begin(), spoken_.end()};  // the same, to be echoed
  UniqueFd echo_listener_;
  UniqueFd guest_listener_;
  std::uint16_t echo_port_ = 0;
  std::uint16_t guest_port_ = 0;
  std::optional<Peer> udp_peer_;
  std::optional<Peer> udp_client_;   // of the published UDP port
  std::optional<OtherSide> echo_;    // whom the stream speaks to
  std::optional<OtherSide> guest_;   // the service on the guest's loopback
  std::optional<OtherSide> client_;  // of the published port
  std::optional<OtherSide> inside_;  // of the loopback port
  Stream out_;
  Stream in_;
  SocketId listener_ = kNoSocket;
  SocketId udp_ = kNoSocket;
  SocketId port_ = kNoSocket;
  bool answered_ = false;
  bool served_ = false;
  bool again_ = false;
  bool retry_accept_ = false;
  bool over_ = false;
  Time began_ = kNever;
  Time ask_at_{};

  std::unique_ptr<EventLoop> make_loop() {
    const faults::Aside aside;
    std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
    loop->at_turn_end([this] { unfinished(); });
    return loop;
  }
};

// Faults that a caller has to take as if nothing were: nothing may fail then.
bool is_passing(int error) {
  return error == EINTR || error == EAGAIN || error == faults::kShort || error == ENOSYS || error == EPERM;
}

std::string name_of(int error) {
  return error == faults::kShort ? "a short count" : std::strerror(error);
}

void fail_each(int error, bool v4) {
  const int before = open_descriptors();
  std::uint64_t times = 0;
  for (std::uint64_t number = 1; number < 2000; number += 1 + number / 30) {
    faults::arm(error, number);
    const Outcome outcome = Run(v4).go();
    const bool struck = faults::disarm();
    const std::string where =
        fmt::format("IPv{}, call {}, {}: {}", v4 ? 4 : 6, number, faults::struck(), name_of(error));
    EXPECT_TRUE(outcome.ended) << "a hang; " << where;
    // A connection hit is the only one that fails. One datagram of a client of UDP may be lost, and comes
    // again.
    EXPECT_LE(outcome.failed.size(), struck && !is_passing(error) ? 1U : 0U)
        << fmt::format("{}", fmt::join(outcome.failed, ", ")) << "; " << where;
    EXPECT_EQ(open_descriptors(), before) << where;
    if (!struck || testing::Test::HasFailure()) break;
    ++times;
  }
  EXPECT_GT(times, 0U) << "no call can fail so: " << name_of(error);
}

class SystemCalls : public testing::TestWithParam<std::tuple<int, bool>> {};

TEST_P(SystemCalls, EachFailsOnce) {
  fail_each(std::get<0>(GetParam()), std::get<1>(GetParam()));
}
INSTANTIATE_TEST_SUITE_P(Errors, SystemCalls,
                         testing::Combine(testing::Values(faults::kShort, EAGAIN, EINTR, ENOBUFS, EMFILE,
                                                          ENFILE, ENOMEM, EADDRNOTAVAIL, ECONNRESET, ENOSYS,
                                                          EPERM),
                                          testing::Bool()));

}  // namespace
}  // namespace sf::host
