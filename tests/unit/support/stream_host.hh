// A host of streams that a test scripts: which connects succeed, what a socket takes, what it has to say; and
// what was asked of it.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <set>
#include <utility>
#include <vector>

#include "host/host.hh"

namespace sf::host {

class StreamHost final : public Host {
 public:
  static constexpr std::size_t kAll = 1U << 30;

  struct Socket {
    Endpoint to;
    Token token = 0;
    HostError connected = HostError::in_progress;  // what finish_connect() says
    std::size_t takes = kAll;                      // bytes that the send buffer still has room for
    HostError send_error = HostError::none;
    std::deque<std::uint8_t> incoming;          // what the far end has sent
    bool ended = false;                         // and its FIN after that
    HostError receive_error = HostError::none;  // after what has come

    HostError accept_error = HostError::would_block;  // of a listener without waiting clients
    std::deque<Endpoint> clients;                     // of a listener, waiting
    std::deque<std::pair<Endpoint, std::vector<std::uint8_t>>> arrived;  // at a UDP socket
    std::vector<std::uint8_t> taken;                                     // from the guest
    int sends = 0;
    int receives = 0;
    int kept_alive = 0;
    bool shut = false;
    bool closed = false;
    bool aborted = false;
    [[nodiscard]] bool open() const { return !closed && !aborted; }
  };

  tl::expected<SocketId, HostError> connect_stream(const Endpoint& to, Token token) override {
    ++connects;
    if (no_descriptor_left()) return tl::unexpected(HostError::no_descriptors);
    if (connect_error != HostError::none) return tl::unexpected(connect_error);
    sockets.push_back({});
    sockets.back().to = to;
    sockets.back().token = token;
    return SocketId{static_cast<std::uint32_t>(sockets.size() - 1)};
  }
  HostError finish_connect(SocketId id) override { return socket(id).connected; }
  IoResult send(SocketId id, std::span<const Bytes> pieces) override {
    Socket& s = socket(id);
    ++s.sends;
    EXPECT_EQ(s.connected, HostError::none);
    EXPECT_FALSE(s.shut) << "sent after shutdown_send()";
    if (s.send_error != HostError::none) return {0, s.send_error};
    IoResult result;
    for (const Bytes piece : pieces) {
      const Bytes part = take(piece, s.takes);
      s.taken.insert(s.taken.end(), part.begin(), part.end());
      s.takes -= part.size();
      result.bytes += part.size();
      if (part.size() < piece.size()) break;
    }
    if (result.bytes == 0) result.error = HostError::would_block;
    return result;
  }
  IoResult receive(SocketId id, std::span<const MutBytes> into) override {
    Socket& s = socket(id);
    ++s.receives;
    EXPECT_FALSE(into.empty()) << "an empty read looks like the end";
    std::size_t total = 0;
    for (const MutBytes part : into) {
      const std::size_t count = std::min(part.size(), s.incoming.size());
      std::copy_n(s.incoming.begin(), count, part.begin());
      s.incoming.erase(s.incoming.begin(), s.incoming.begin() + static_cast<std::ptrdiff_t>(count));
      total += count;
    }
    if (total > 0) return {total, HostError::none};
    if (s.receive_error != HostError::none) return {0, s.receive_error};
    return {0, s.ended ? HostError::none : HostError::would_block};
  }
  tl::expected<SocketId, HostError> listen_stream(const Endpoint& at, Token token, PortSharing) override {
    return bind(at, token);
  }
  tl::expected<Accepted, HostError> accept_stream(SocketId listener) override {
    Socket& s = socket(listener);
    if (s.clients.empty()) return tl::unexpected(s.accept_error);
    if (no_descriptor_left()) return tl::unexpected(HostError::no_descriptors);
    const Endpoint peer = s.clients.front();
    s.clients.pop_front();
    sockets.push_back({});
    sockets.back().connected = HostError::none;
    return Accepted{SocketId{static_cast<std::uint32_t>(sockets.size() - 1)}, peer};
  }
  bool watch(SocketId id, Token token) override {
    socket(id).token = token;
    return true;
  }
  // Between hosts goes the client alone.
  UniqueFd release_stream(SocketId id) override {
    socket(id).closed = true;
    return {};
  }
  SocketId adopt_stream(UniqueFd, const Endpoint&) override {
    sockets.push_back({});
    sockets.back().connected = HostError::none;
    return SocketId{static_cast<std::uint32_t>(sockets.size() - 1)};
  }
  tl::expected<SocketId, HostError> bind_datagram(const Endpoint& at, Token token) override {
    return bind(at, token);
  }
  Endpoint local_endpoint(SocketId id) const override { return sockets.at(static_cast<std::size_t>(id)).to; }
  void shutdown_send(SocketId id) override {
    EXPECT_FALSE(socket(id).shut) << "twice";
    socket(id).shut = true;
  }
  void keep_alive(SocketId id) override { ++socket(id).kept_alive; }
  void abort(SocketId id) override { socket(id).aborted = true; }
  void close(SocketId id) override { socket(id).closed = true; }
  const Resolvers& resolvers(Time) override { return configured; }

  // Of datagrams it only writes down where they went.
  tl::expected<SocketId, HostError> open_datagram(DatagramKind kind, bool, Token token) override {
    if (open_error != HostError::none) return tl::unexpected(open_error);
    if (kind != DatagramKind::query && no_descriptor_left()) {
      return tl::unexpected(HostError::no_descriptors);
    }
    sockets.push_back({});
    sockets.back().token = token;
    return SocketId{static_cast<std::uint32_t>(sockets.size() - 1)};
  }
  HostError send_datagram(SocketId id, const Endpoint& to, Bytes payload,
                          const DatagramOptions& with) override {
    ++socket(id).sends;
    datagrams.push_back({to, {payload.begin(), payload.end()}});
    options.push_back(with);
    return datagram_error;
  }
  std::span<const ReceivedDatagram> receive_datagrams(SocketId id) override {
    Socket& s = socket(id);
    if (s.arrived.empty()) return {};
    lent_ = std::exchange(s.arrived, {});
    lent_views_.clear();
    for (const auto& [from, payload] : lent_) {
      lent_views_.push_back({.from = from, .payload = payload});
    }
    return lent_views_;
  }
  bool receive_error(SocketId, DatagramError&) override { return false; }

  // The only socket that is open, for tests that have one.
  Socket& current() { return sockets.back(); }
  [[nodiscard]] std::size_t open_sockets() const {
    std::size_t count = 0;
    for (const Socket& s : sockets) count += s.open() ? 1U : 0U;
    return count;
  }

  // Counting takes long where there have been thousands.
  [[nodiscard]] bool no_descriptor_left() const {
    return most_sockets != kAll && open_sockets() >= most_sockets;
  }

  std::vector<std::pair<Endpoint, std::vector<std::uint8_t>>> datagrams;
  std::vector<DatagramOptions> options;  // of each of them
  std::deque<Socket> sockets;
  std::size_t most_sockets = kAll;            // further ones find no descriptor, but those for queries
  HostError connect_error = HostError::none;  // known at once
  HostError bind_error = HostError::none;
  HostError open_error = HostError::none;      // of a datagram socket
  HostError datagram_error = HostError::none;  // of sending one
  std::set<Endpoint> taken;                    // cannot be bound to
  std::uint16_t next_port = 33000;             // that the host chooses
  int connects = 0;
  Resolvers configured;

 private:
  tl::expected<SocketId, HostError> bind(const Endpoint& at, Token token) {
    if (bind_error != HostError::none) return tl::unexpected(bind_error);
    if (taken.contains(at)) return tl::unexpected(HostError::in_use);
    sockets.push_back({});
    sockets.back().to = at.port != 0 ? at : Endpoint{at.address, next_port++};
    sockets.back().token = token;
    return SocketId{static_cast<std::uint32_t>(sockets.size() - 1)};
  }
  std::deque<std::pair<Endpoint, std::vector<std::uint8_t>>> lent_;
  std::vector<ReceivedDatagram> lent_views_;
  Socket& socket(SocketId id) {
    Socket& s = sockets.at(static_cast<std::size_t>(id));
    EXPECT_TRUE(s.open()) << "used after it was closed";
    return s;
  }
};

}  // namespace sf::host
