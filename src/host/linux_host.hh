// The Host of a Linux machine: ordinary, unprivileged sockets on an EventLoop.
//
// Files by role: linux_host.cc what all sockets share, linux_stream.cc TCP, linux_published.cc published
// ports, linux_datagram.cc opening UDP and ping sockets, linux_datagram_send.cc sending them,
// linux_datagram_receiver.cc receiving them and their errors, linux_resolvers.cc resolv.conf, linux_errors.cc
// errno.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/log.hh"
#include "base/result.hh"
#include "base/slab.hh"
#include "base/unique_fd.hh"
#include "host/datagram_calls.hh"
#include "host/descriptors.hh"
#include "host/event_loop.hh"
#include "host/host.hh"
#include "host/linux_datagram_receiver.hh"
#include "host/linux_resolvers.hh"

namespace sf::host {

class Controls;

struct HostOptions {
  // Source addresses and interface of everything that leaves for other machines. What goes to the host's own
  // loopback is left alone, or a name server on 127.0.0.53 could not be reached.
  std::optional<Address> outbound4{};
  std::optional<Address> outbound6{};
  std::string outbound_interface{};
  std::vector<Endpoint> dns_override{};  // instead of resolv.conf's servers
  bool dns = true;                       // false: resolvers() is always empty
  std::string resolv_conf_path = "/etc/resolv.conf";
  ResolvConf::Reader read_resolv_conf{};  // instead of looking at that path
  bool offload = true;                    // false: neither UDP_SEGMENT nor UDP_GRO
  DatagramCalls* calls = nullptr;         // absent: the kernel's
  Descriptors descriptors{};
  const Log* log = nullptr;  // is told once of each thing that the kernel turns out to lack
};

// The address of `interface` that is good for a source: the first one that is not link-local. The Error is
// the line for the user.
[[nodiscard]] Result<Address> address_of_interface(const std::string& interface, bool v4);

// That the outbound addresses are this host's and the interface is there; the Error is the line for the user.
[[nodiscard]] Result<void> check_options(const HostOptions& options);

class LinuxHost final : public Host {
 public:
  // `loop` outlives the host.
  LinuxHost(EventLoop& loop, HostOptions options);
  ~LinuxHost() override;

  [[nodiscard]] tl::expected<SocketId, HostError> connect_stream(const Endpoint& to, Token token) override;
  [[nodiscard]] HostError finish_connect(SocketId socket) override;
  [[nodiscard]] IoResult send(SocketId socket, std::span<const Bytes> pieces) override;
  [[nodiscard]] IoResult receive(SocketId socket, std::span<const MutBytes> into) override;
  void shutdown_send(SocketId socket) override;
  [[nodiscard]] std::optional<Duration> round_trip(SocketId socket) const override;
  void keep_alive(SocketId socket) override;
  void abort(SocketId socket) override;

  [[nodiscard]] tl::expected<SocketId, HostError> listen_stream(const Endpoint& at, Token token,
                                                                PortSharing sharing) override;
  [[nodiscard]] tl::expected<Accepted, HostError> accept_stream(SocketId listener) override;
  [[nodiscard]] bool watch(SocketId socket, Token token) override;
  [[nodiscard]] UniqueFd release_stream(SocketId socket) override;
  [[nodiscard]] SocketId adopt_stream(UniqueFd fd, const Endpoint& peer) override;
  [[nodiscard]] tl::expected<SocketId, HostError> bind_datagram(const Endpoint& at, Token token) override;
  [[nodiscard]] Endpoint local_endpoint(SocketId socket) const override;

  [[nodiscard]] tl::expected<SocketId, HostError> open_datagram(DatagramKind kind, bool v4,
                                                                Token token) override;
  // A would_block or an error in the middle of many segments leaves those after it unsent. After
  // message_too_large the error queue tells the MTU, at times in two entries (see send_one()).
  [[nodiscard]] HostError send_datagram(SocketId socket, const Endpoint& to, Bytes payload,
                                        const DatagramOptions& options) override;
  // Neighbours of one size to one destination are one message (UDP_SEGMENT), and several messages one
  // sendmmsg(2).
  [[nodiscard]] DatagramsSent send_datagrams(SocketId socket,
                                             std::span<const OutgoingDatagram> datagrams) override;
  [[nodiscard]] std::span<const ReceivedDatagram> receive_datagrams(SocketId socket) override;
  [[nodiscard]] bool took_all_datagrams() const override { return receiver_.took_all(); }
  [[nodiscard]] bool receive_error(SocketId socket, DatagramError& error) override;

  void close(SocketId socket) override;
  [[nodiscard]] const Resolvers& resolvers(Time now) override;

  // Sockets that are open now.
  [[nodiscard]] std::size_t open_sockets() const { return slots_.size(); }

 private:
  enum class Kind : std::uint8_t { stream, udp, ping };

  // A socket, and what its options are set to, so that no system call sets one again.
  struct Slot {
    UniqueFd fd;
    Kind kind = Kind::stream;
    bool v4 = true;
    std::optional<bool> dont_fragment;
    bool no_segmentation = false;  // the kernel refused UDP_SEGMENT once
    // Segments of this size and larger to there do not fit the path, and are sent singly.
    Endpoint unsegmented_to;
    std::uint16_t unsegmented_size = 0;
    HostError outcome = HostError::in_progress;  // of the connect
    unsigned interface_index = 0;                // for every datagram; 0: whichever the routes say
    Endpoint too_large_for;                      // destination of the last datagram above the path's MTU
  };

  [[nodiscard]] tl::expected<SocketId, HostError> adopt(UniqueFd fd, Kind kind, bool v4, Token token);
  [[nodiscard]] SocketId keep(UniqueFd fd, Kind kind, bool v4);
  // Whether accept(2) would find a descriptor that is not kept back.
  [[nodiscard]] bool may_accept() const;
  // Null where the socket is not open.
  [[nodiscard]] Slot* find(SocketId socket);
  [[nodiscard]] const Slot* find(SocketId socket) const;
  // The fd for a system call; -1, which fails with EBADF, where the socket is not open.
  [[nodiscard]] int fd_of(SocketId socket) const;
  [[nodiscard]] HostError bind_outbound_stream(int fd, bool v4) const;
  [[nodiscard]] const std::optional<Address>& outbound(bool v4) const {
    return v4 ? options_.outbound4 : options_.outbound6;
  }

  // linux_datagram.cc. All return errno or 0.
  [[nodiscard]] int set_dont_fragment(Slot& slot, bool on);
  void add_controls(Controls& controls, const Slot& slot, const Endpoint& to, const DatagramOptions& options,
                    std::uint16_t segment_size) const;
  [[nodiscard]] int send_message(const Slot& slot, const msghdr& message) const;
  [[nodiscard]] int send_one(const Slot& slot, const Endpoint& to, Bytes payload,
                             const DatagramOptions& options, std::uint16_t segment_size) const;
  [[nodiscard]] int send_segments(Slot& slot, const Endpoint& to, Bytes payload,
                                  const DatagramOptions& options);
  [[nodiscard]] bool may_segment(const Slot& slot, const Endpoint& to, std::size_t segment_size) const;
  // Whether a message of many segments is worth sending singly after this error; and that is remembered.
  [[nodiscard]] bool note_no_segmentation(Slot& slot, const Endpoint& to, std::size_t segment_size,
                                          int error);
  class Batch;
  [[nodiscard]] std::size_t send_batch(Slot& slot, std::span<const OutgoingDatagram> datagrams, int& error);
  void look_for_offloads(int fd);
  void say_once(Once& once, const char* what, int error, const char* effect);

  EventLoop& loop_;
  HostOptions options_;
  ResolvConf resolv_conf_;
  Resolvers no_resolvers_;
  DatagramCalls kernel_;
  DatagramCalls& calls_;
  DatagramReceiver receiver_;
  bool looked_for_offloads_ = false;
  bool crowded_ = false;      // the last descriptor was one of the last that are not kept back
  bool segmentation_ = true;  // the kernel knows UDP_SEGMENT, and it is wanted
  bool has_sendmmsg_ = true;
  Once lacks_segmentation_;
  Once lacks_sendmmsg_;
  Once lacks_gro_;
  Slab<Slot> slots_;  // a SocketId is the slot's index
};

}  // namespace sf::host
