#include "link/tap.hh"

#include <sys/uio.h>
#include <sys/utsname.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>

namespace sf::link {
namespace {

// struct virtio_net_hdr of virtio 1.2 section 5.1.6, in the machine's byte order; the kernel's own header for
// it is not C++.
struct VnetHeader {
  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;
  std::uint16_t header_length = 0;
  std::uint16_t gso_size = 0;
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;
  std::uint16_t buffers = 0;
};
static_assert(sizeof(VnetHeader) == Tap::kVnetHeaderSize);

constexpr std::uint8_t kNeedsChecksum = 1, kDataValid = 2;
constexpr std::uint8_t kGsoNone = 0, kGsoTcp4 = 1, kGsoTcp6 = 4, kGsoUdp = 5, kGsoEcn = 0x80;

std::uint8_t to_gso_type(wire::GsoType gso) {
  switch (gso) {
    case wire::GsoType::none:
      break;
    case wire::GsoType::tcp4:
      return kGsoTcp4;
    case wire::GsoType::tcp6:
      return kGsoTcp6;
    case wire::GsoType::udp:
      return kGsoUdp;
  }
  return kGsoNone;
}

std::optional<wire::GsoType> from_gso_type(std::uint8_t type) {
  switch (type & ~kGsoEcn) {
    case kGsoNone:
      return wire::GsoType::none;
    case kGsoTcp4:
      return wire::GsoType::tcp4;
    case kGsoTcp6:
      return wire::GsoType::tcp6;
    case kGsoUdp:
      return wire::GsoType::udp;
    default:
      return std::nullopt;
  }
}

VnetHeader to_header(const wire::Offload& offload) {
  VnetHeader header;
  if (offload.checksum_needed) {
    header.flags = kNeedsChecksum;
    header.checksum_start = offload.checksum_start;
    header.checksum_offset = offload.checksum_offset;
  } else if (offload.checksum_valid) {
    header.flags = kDataValid;
  }
  header.gso_type = to_gso_type(offload.gso);
  if (offload.gso != wire::GsoType::none) {
    header.gso_size = offload.gso_size;
    header.header_length = offload.header_length;
  }
  return header;
}

// Nothing for a kind of super-frame that was not asked for.
std::optional<wire::Offload> from_header(const VnetHeader& header) {
  const auto gso = from_gso_type(header.gso_type);
  if (!gso) return std::nullopt;
  wire::Offload offload;
  offload.checksum_needed = (header.flags & kNeedsChecksum) != 0;
  offload.checksum_valid = (header.flags & kDataValid) != 0;
  if (offload.checksum_needed) {
    offload.checksum_start = header.checksum_start;
    offload.checksum_offset = header.checksum_offset;
  }
  offload.gso = *gso;
  if (*gso != wire::GsoType::none) {
    offload.gso_size = header.gso_size;
    offload.header_length = header.header_length;
  }
  return offload;
}

// The driver answers EBADFD once the device has been deleted, EFAULT to a reader that was waiting then.
bool is_gone(int error) {
  return error == EBADFD || error == EBADF || error == EFAULT || error == ENODEV || error == ENXIO;
}

}  // namespace

bool kernel_has_big_tcp() {
  utsname name{};
  int major = 0;
  int minor = 0;
  if (::uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &major, &minor) != 2) return false;
  return major > 6 || (major == 6 && minor >= 3);
}

Tap::Tap(UniqueFd device, bool vnet_header, Features features)
    : device_(std::move(device)), vnet_header_(vnet_header), features_(vnet_header ? features : Features{}) {}

Status Tap::receive(MutBytes buffer, Frame& frame) {
  VnetHeader header;
  const std::size_t header_size = vnet_header_ ? sizeof(header) : 0;
  while (true) {
    std::array<iovec, 2> vectors{{{&header, header_size}, {buffer.data(), buffer.size()}}};
    const ssize_t count = ::readv(device_.get(), vectors.data(), static_cast<int>(vectors.size()));
    if (count < 0) {
      if (errno == EINTR) continue;
      return is_gone(errno) ? Status::gone : Status::empty;
    }
    if (count == 0) return Status::gone;  // never from a TAP; the end of a socket that stands for one
    const auto size = static_cast<std::size_t>(count);
    const auto offload = from_header(header);
    if (size < header_size || !offload) continue;
    frame.bytes = buffer.first(size - header_size);
    frame.offload = *offload;
    return Status::ok;
  }
}

Status Tap::send(std::span<const Bytes> parts, const wire::Offload& offload) {
  if (parts.size() > kMaxParts) return Status::dropped;
  VnetHeader header = to_header(offload);
  std::array<iovec, kMaxParts + 1> vectors;
  std::size_t used = 0;
  if (vnet_header_) vectors[used++] = {&header, sizeof(header)};
  for (const Bytes part : parts) vectors[used++] = {const_cast<std::uint8_t*>(part.data()), part.size()};
  while (::writev(device_.get(), vectors.data(), static_cast<int>(used)) < 0) {
    if (errno == EINTR) continue;
    // EIO: the interface is down. Everything else is about this frame or this moment.
    return is_gone(errno) ? Status::gone : Status::dropped;
  }
  return Status::ok;
}

}  // namespace sf::link
