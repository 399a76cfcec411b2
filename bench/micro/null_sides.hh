// A host and a link that cost nothing: what remains is what the shard itself takes for a frame.
#pragma once

#include <vector>

#include "host/host.hh"
#include "link/link.hh"

namespace sf::bench {

// Every connect succeeds, every byte is taken at once, nothing ever comes.
class NullHost final : public host::Host {
 public:
  using Error = host::HostError;
  using Socket = host::SocketId;

  tl::expected<Socket, Error> connect_stream(const Endpoint&, host::Token token) override {
    token_ = token;
    return next();
  }
  Error finish_connect(Socket) override { return Error::none; }
  host::IoResult send(Socket, std::span<const Bytes> pieces) override {
    host::IoResult result;
    for (const Bytes piece : pieces) result.bytes += piece.size();
    sent_ += result.bytes;
    return result;
  }
  host::IoResult receive(Socket, std::span<const MutBytes>) override { return {0, Error::would_block}; }
  void shutdown_send(Socket) override {}
  void abort(Socket) override {}
  tl::expected<Socket, Error> listen_stream(const Endpoint&, host::Token) override { return next(); }
  tl::expected<host::Accepted, Error> accept_stream(Socket) override {
    return tl::unexpected(Error::would_block);
  }
  bool watch(Socket, host::Token) override { return true; }
  tl::expected<Socket, Error> bind_datagram(const Endpoint&, host::Token) override { return next(); }
  Endpoint local_endpoint(Socket) const override { return {}; }
  tl::expected<Socket, Error> open_datagram(host::DatagramKind, bool, host::Token) override { return next(); }
  Error send_datagram(Socket, const Endpoint&, Bytes payload, const host::DatagramOptions&) override {
    sent_ += payload.size();
    return Error::none;
  }
  std::span<const host::ReceivedDatagram> receive_datagrams(Socket) override { return {}; }
  bool receive_error(Socket, host::DatagramError&) override { return false; }
  void close(Socket) override {}
  const host::Resolvers& resolvers(Time) override { return resolvers_; }

  [[nodiscard]] host::Token token() const { return token_; }
  [[nodiscard]] std::uint64_t sent() const { return sent_; }

 private:
  Socket next() { return Socket{next_++}; }

  host::Resolvers resolvers_;
  host::Token token_ = 0;
  std::uint32_t next_ = 0;
  std::uint64_t sent_ = 0;
};

// Gives out one frame per offer(), and keeps the last one that was sent.
class NullLink final : public link::Link {
 public:
  link::Status receive(MutBytes buffer, link::Frame& frame) override {
    if (offered_ == nullptr) return link::Status::empty;
    std::copy(offered_->begin(), offered_->end(), buffer.begin());
    frame.bytes = buffer.first(offered_->size());
    frame.offload = offload_;
    offered_ = nullptr;
    return link::Status::ok;
  }
  link::Status send(std::span<const Bytes> parts, const wire::Offload&) override {
    last_.clear();
    for (const Bytes part : parts) last_.insert(last_.end(), part.begin(), part.end());
    return link::Status::ok;
  }
  link::Features features() const override { return {.checksum = true, .tcp_gso = true, .udp_gso = true}; }

  void offer(const std::vector<std::uint8_t>& frame, const wire::Offload& offload) {
    offered_ = &frame;
    offload_ = offload;
  }
  [[nodiscard]] const std::vector<std::uint8_t>& last() const { return last_; }

 private:
  const std::vector<std::uint8_t>* offered_ = nullptr;
  wire::Offload offload_;
  std::vector<std::uint8_t> last_;
};

}  // namespace sf::bench
