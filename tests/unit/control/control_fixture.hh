// A folder of its own per test, raw clients that never wait, and a server in a thread for clients that do.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "control/client.hh"
#include "control/server.hh"
#include "unit/control/fake_instance.hh"

namespace sf::control {

inline constexpr const char* kRequest = R"({"execute":"version"})";
inline constexpr const char* kReply = R"({"return":{"version":"1.2.3"}})";  // a FakeInstance's

class TemporaryFolder {
 public:
  TemporaryFolder() {
    char name[] = "/tmp/sf-control-XXXXXX";
    if (::mkdtemp(name) == nullptr) ADD_FAILURE() << "mkdtemp: " << errno;
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A client whose every operation returns at once.
class RawClient {
 public:
  explicit RawClient(const std::string& path)
      : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_un address;
    EXPECT_TRUE(make_address(path, address));
    connected_ = ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }

  [[nodiscard]] bool connected() const { return connected_; }
  // How much of it the socket took.
  std::size_t send(std::string_view text) const {
    const ssize_t put = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    return put < 0 ? 0 : static_cast<std::size_t>(put);
  }
  void finish() const { ::shutdown(fd_.get(), SHUT_WR); }
  // Reads what is there. True once the other side has closed.
  bool closed() {
    std::array<char, 65536> piece;
    for (;;) {
      const ssize_t got = ::recv(fd_.get(), piece.data(), piece.size(), 0);
      if (got > 0) {
        reply_.append(piece.data(), static_cast<std::size_t>(got));
        continue;
      }
      reset_ = reset_ || (got < 0 && errno != EAGAIN);
      closed_ = closed_ || got == 0 || reset_;
      return closed_;
    }
  }
  [[nodiscard]] const std::string& reply() const { return reply_; }
  [[nodiscard]] bool reset() const { return reset_; }
  void hang_up() { fd_.reset(); }

 private:
  UniqueFd fd_;
  bool connected_ = false;
  std::string reply_;
  bool closed_ = false;
  bool reset_ = false;
};

// A server that the test drives itself, so that nothing happens between two of its steps.
class ServerFixture : public ::testing::Test {
 protected:
  void SetUp() override { start({.tick = 1h}); }
  void start(const ServerOptions& options) {
    server.reset();
    auto opened = Server::open(path, instance, options);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    server = *std::move(opened);
  }

  [[nodiscard]] bool ready(int milliseconds = 0) const {
    pollfd watched{.fd = server->fd(), .events = POLLIN, .revents = 0};
    return ::poll(&watched, 1, milliseconds) == 1;
  }
  // Until there is nothing to do; that takes a bounded number of turns.
  int turns() const {
    int count = 0;
    while (ready() && count < 10000) {
      server->on_ready();
      ++count;
    }
    EXPECT_LT(count, 10000) << "it does not come to rest";
    return count;
  }
  // Waits for the server's own timer as well.
  template <typename Condition>
  bool run_until(Condition condition) const {
    while (!condition()) {
      if (!ready(5000)) return condition();
      server->on_ready();
    }
    return true;
  }
  std::string ask(const std::string& request) const {
    RawClient client(path);
    client.send(request);
    client.finish();
    turns();
    return client.closed() ? client.reply() : "not closed: " + client.reply();
  }

  TemporaryFolder folder;
  std::string path = folder / "api.sock";
  FakeInstance instance;
  std::unique_ptr<Server> server;
};

// For clients that wait: a server, and the thread that it runs in.
class ServerThread {
 public:
  ServerThread(const std::string& path, Instance& instance) : stop_(::eventfd(0, EFD_CLOEXEC)) {
    auto opened = Server::open(path, instance);
    EXPECT_TRUE(opened.has_value()) << opened.error().message;
    if (!opened) return;
    thread_ = std::thread([this, server = *std::move(opened)] {
      std::array<pollfd, 2> watched{{{.fd = server->fd(), .events = POLLIN, .revents = 0},
                                     {.fd = stop_.get(), .events = POLLIN, .revents = 0}}};
      while (::poll(watched.data(), watched.size(), -1) > 0 && watched[1].revents == 0) server->on_ready();
    });
  }
  ~ServerThread() {
    ::eventfd_write(stop_.get(), 1);
    if (thread_.joinable()) thread_.join();
  }
  ServerThread(const ServerThread&) = delete;
  ServerThread& operator=(const ServerThread&) = delete;

 private:
  UniqueFd stop_;
  std::thread thread_;
};

}  // namespace sf::control
