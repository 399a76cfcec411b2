#include "host/linux_host.hh"

#include <sys/socket.h>

#include "host/linux_address.hh"
#include "host/linux_errors.hh"

namespace sf::host {
namespace {

// So near the last descriptor it is worth two calls to know whether there is one.
constexpr int kCrowded = 32;

}  // namespace

LinuxHost::LinuxHost(EventLoop& loop, HostOptions options)
    : loop_(loop),
      options_(std::move(options)),
      resolv_conf_(options_.resolv_conf_path, options_.dns_override, options_.read_resolv_conf),
      calls_(options_.calls != nullptr ? *options_.calls : kernel_),
      receiver_(calls_, options_.log),
      segmentation_(options_.offload) {}

LinuxHost::~LinuxHost() = default;

tl::expected<SocketId, HostError> LinuxHost::adopt(UniqueFd fd, Kind kind, bool v4, Token token) {
  if (const int error = loop_.add_socket(fd.get(), token); error != 0) {
    return tl::unexpected(host_error_from(error));
  }
  return keep(std::move(fd), kind, v4);
}

SocketId LinuxHost::keep(UniqueFd fd, Kind kind, bool v4) {
  const Handle handle = slots_.create();
  Slot& slot = slots_.existing(handle);
  slot.fd = std::move(fd);
  slot.kind = kind;
  slot.v4 = v4;
  crowded_ = options_.descriptors.kept_back(slot.fd.get() + kCrowded);
  return SocketId{handle.index};
}

bool LinuxHost::may_accept() const {
  if (!crowded_) return true;
  const int next = options_.descriptors.next();
  return next >= 0 && !options_.descriptors.kept_back(next);
}

LinuxHost::Slot* LinuxHost::find(SocketId socket) {
  return slots_.find_at(static_cast<std::uint32_t>(socket));
}

const LinuxHost::Slot* LinuxHost::find(SocketId socket) const {
  return slots_.find_at(static_cast<std::uint32_t>(socket));
}

int LinuxHost::fd_of(SocketId socket) const {
  const Slot* slot = find(socket);
  return slot != nullptr ? slot->fd.get() : -1;
}

void LinuxHost::close(SocketId socket) {
  if (find(socket) == nullptr) return;
  // The descriptor leaves the epoll set with it: no other one refers to the socket.
  slots_.destroy(slots_.handle_at(static_cast<std::uint32_t>(socket)));
}

const Resolvers& LinuxHost::resolvers(Time now) {
  return options_.dns ? resolv_conf_.get(now) : no_resolvers_;
}

Endpoint LinuxHost::local_endpoint(SocketId socket) const {
  sockaddr_in6 address{};
  socklen_t size = sizeof(address);
  if (::getsockname(fd_of(socket), reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return endpoint_from(&address, size);
}

}  // namespace sf::host
