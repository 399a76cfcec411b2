#include "setup/tap.hh"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "setup/namespaces.hh"
#include "setup/netlink.hh"
#include "setup/posix.hh"

namespace sf::setup {
namespace {

constexpr const char* kDevice = "/dev/net/tun";
// Frames that wait for the program: the guest is not told where there is no room, so that what does not fit
// is lost. The kernel's 500 is less than a TCP window of 1 MiB without segmentation, and than what a UDP
// sender says while the program waits for a CPU.
constexpr std::uint32_t kQueueLength = 2000;
// In <linux/if_tun.h> since Linux 6.2.
constexpr unsigned kOffloadUso4 = 0x20;
constexpr unsigned kOffloadUso6 = 0x40;

Result<UniqueFd> open_device() {
  UniqueFd fd = open_fd(kDevice, O_RDWR | O_NONBLOCK);
  if (fd) return fd;
  const int error = errno;
  switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return fail(
          "cannot open {}: {}; load the driver with: modprobe tun, or give the container the device "
          "(--device {})",
          kDevice, reason(error), kDevice);
    case EACCES:
    case EPERM:
      return fail("cannot open {}: {}; let users open it with: chmod 0666 {}, or an udev rule", kDevice,
                  reason(error), kDevice);
    default:
      return fail("cannot open {}: {}", kDevice, reason(error));
  }
}

tl::unexpected<Error> explain_tap(const std::string& name, int error, bool exists) {
  if (exists && error == EBUSY) {
    return fail(
        "cannot attach to the TAP '{}': {}; another program has it, so end that, or choose another name",
        name, reason(error));
  }
  if (exists) {
    return fail(
        "cannot attach to the interface '{}': {}; it has to be a TAP with a single queue that this user may "
        "open, "
        "as made by: ip tuntap add name {} mode tap",
        name, reason(error), name);
  }
  const char* advice = error == EPERM    ? "this needs CAP_NET_ADMIN in the namespace"
                       : error == ENOTTY ? "/dev/net/tun is another device here: mknod /dev/net/tun c 10 200"
                                         : "try another name with --tap-name";
  return fail("cannot create the TAP '{}': {}; {}", name, reason(error), advice);
}

Result<void> set_header_size(int fd, const std::string& name) {
  const unsigned header_size = TapDevice::kVnetHeaderSize;
  if (::ioctl(fd, TUNSETVNETHDRSZ, &header_size) == 0) return {};
  return fail("cannot set the header size of the TAP '{}': {}; Linux 4.18 or newer is needed", name,
              reason(errno));
}

// 0 or an errno.
int set_interface(int fd, const std::string& name, bool several) {
  ifreq request{};
  std::copy_n(name.c_str(), std::min(name.size(), sizeof(request.ifr_name) - 1), request.ifr_name);
  const unsigned flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (several ? IFF_MULTI_QUEUE : 0U);
  request.ifr_flags = static_cast<short>(flags);
  return ::ioctl(fd, TUNSETIFF, &request) == 0 ? 0 : errno;
}

// Whether a TAP that is there was made for several queues. Otherwise the kernel says EINVAL to whoever asks
// for one of them (EBUSY where it has them, and all are in use).
bool has_queues(const std::string& name) {
  const UniqueFd fd = open_fd(kDevice, O_RDWR | O_NONBLOCK);
  return fd && set_interface(fd.get(), name, true) != EINVAL;
}

Result<UniqueFd> open_queue(const std::string& name, bool several, bool exists) {
  auto fd = open_device();
  if (!fd) return fd;
  if (const int error = set_interface(fd->get(), name, several); error != 0)
    return explain_tap(name, error, exists);
  if (auto set = set_header_size(fd->get(), name); !set) return tl::unexpected(set.error());
  return fd;
}

TapOffloads set_offloads(int fd, bool wanted) {
  const auto set = [fd](unsigned long argument) { return ::ioctl(fd, TUNSETOFFLOAD, argument) == 0; };
  if (wanted) return choose_offloads(set);
  // A device that was there may have some on. One that is new has none.
  static_cast<void>(set(0));
  return {};
}

// In the namespace that this process is in, and that the descriptors hold from then on. Where `final_netns`
// is not -1, the device is moved there.
Result<TapDevice> open_here(const TapSettings& settings, int final_netns) {
  TapDevice device;
  device.name = settings.name;
  const bool exists = final_netns < 0 && ::if_nametoindex(settings.name.c_str()) != 0;
  unsigned queues = std::max(settings.queues, 1U);
  if (exists && queues > 1 && !has_queues(settings.name)) queues = 1;
  for (unsigned queue = 0; queue < queues; ++queue) {
    auto fd = open_queue(settings.name, queues > 1, exists);
    if (!fd) return tl::unexpected(fd.error());
    device.queues.push_back(*std::move(fd));
  }
  device.offloads = set_offloads(device.queues.front().get(), settings.offload);

  auto netlink = Netlink::open();
  if (!netlink) return tl::unexpected(netlink.error());
  auto index = netlink->link_index(device.name);
  if (!index) return tl::unexpected(index.error());
  if (!exists || !settings.keep_existing) {
    if (auto set = netlink->set_link(
            *index, {.mtu = settings.mtu, .mac = settings.mac, .queue_length = kQueueLength});
        !set) {
      return tl::unexpected(set.error());
    }
  }
  auto mac = netlink->link_mac(*index);
  if (!mac) return tl::unexpected(mac.error());
  device.mac = *mac;
  device.holds_namespace = final_netns < 0;
  if (final_netns < 0) return device;
  if (auto moved = netlink->move_link(*index, device.name, final_netns); !moved) {
    return tl::unexpected(moved.error());
  }
  return device;
}

}  // namespace

TapOffloads choose_offloads(const std::function<bool(unsigned long argument)>& set) {
  constexpr unsigned long kTso4 = TUN_F_CSUM | TUN_F_TSO4;
  constexpr unsigned long kTso = kTso4 | TUN_F_TSO6;
  if (set(kTso | kOffloadUso4 | kOffloadUso6)) return {true, true, true, true};
  if (set(kTso)) return {true, true, true, false};
  if (set(kTso4)) return {true, true, false, false};
  if (set(TUN_F_CSUM)) return {true, false, false, false};
  static_cast<void>(set(0));
  return {};
}

Result<TapDevice> open_tap(const TapSettings& settings) {
  // Moved there, a new one could only find its name taken.
  const bool exists = ::if_nametoindex(settings.name.c_str()) != 0;
  if (settings.holds_namespace || exists) return open_here(settings, -1);
  const UniqueFd final_netns = open_fd("/proc/thread-self/ns/net", O_RDONLY);
  if (!final_netns) return fail("cannot open /proc/thread-self/ns/net: {}; mount /proc", reason(errno));
  if (::unshare(CLONE_NEWNET) != 0) return explain_unshare("a network namespace for the TAP", errno);
  auto device = open_here(settings, final_netns.get());
  if (::setns(final_netns.get(), CLONE_NEWNET) != 0) {
    return fail("cannot go back to the network namespace: {}; this needs CAP_SYS_ADMIN in it", reason(errno));
  }
  return device;
}

Result<TapDevice> adopt_tap(int fd, bool offload) {
  ifreq request{};
  if (::ioctl(fd, TUNGETIFF, &request) != 0) {
    return fail("cannot use file descriptor {} as a TAP: {}; hand over one of /dev/net/tun, after TUNSETIFF",
                fd, reason(errno));
  }
  const auto flags = static_cast<unsigned short>(request.ifr_flags);
  TapDevice device;
  device.name = request.ifr_name;
  // (That it has IFF_NO_PI cannot be asked: TUNGETIFF says IFF_NOFILTER with the same bit.)
  if ((flags & IFF_TAP) == 0) {
    return fail("cannot use file descriptor {} as a TAP: '{}' is a TUN; make it with IFF_TAP and IFF_NO_PI",
                fd, device.name);
  }
  if (::ioctl(fd, SIOCGIFHWADDR, &request) != 0) {
    return fail("cannot read the MAC address of the TAP '{}': {}", device.name, reason(errno));
  }
  std::copy_n(reinterpret_cast<const std::uint8_t*>(request.ifr_hwaddr.sa_data), device.mac.bytes.size(),
              device.mac.bytes.begin());
  device.vnet_header = (flags & IFF_VNET_HDR) != 0;
  if (device.vnet_header) {
    if (auto set = set_header_size(fd, device.name); !set) return tl::unexpected(set.error());
    device.offloads = set_offloads(fd, offload);
  }
  const int status = ::fcntl(fd, F_GETFL);
  if (status < 0 || ::fcntl(fd, F_SETFL, status | O_NONBLOCK) != 0 || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    return fail("cannot set the flags of file descriptor {}: {}", fd, reason(errno));
  }
  device.queues.emplace_back(fd);
  device.holds_namespace = true;
  return device;
}

std::string describe(const TapDevice& device) {
  const TapOffloads& on = device.offloads;
  return fmt::format("{} {:d}{:d}{:d}{:d}{:d} {}", device.mac.to_string(), on.checksum, on.tso4, on.tso6,
                     on.uso, device.holds_namespace, device.name);
}

Result<TapDevice> from_description(const std::string& text, std::vector<UniqueFd> queues) {
  TapDevice device;
  const std::size_t flags_at = text.find(' ') + 1;
  const std::size_t name_at = flags_at + 6;
  const auto mac = MacAddress::parse(text.substr(0, flags_at - 1));
  if (!mac || text.size() <= name_at || queues.empty()) {
    return fail("the TAP did not arrive from the namespace; is the limit of open files (ulimit -n) reached?");
  }
  device.mac = *mac;
  const auto flag = [&](std::size_t number) { return text[flags_at + number] == '1'; };
  device.offloads = {flag(0), flag(1), flag(2), flag(3)};
  device.holds_namespace = flag(4);
  device.name = text.substr(name_at);
  device.queues = std::move(queues);
  return device;
}

}  // namespace sf::setup
