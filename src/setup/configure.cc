#include "setup/configure.hh"

#include <poll.h>

#include <cerrno>

#include "setup/netlink.hh"
#include "setup/posix.hh"

namespace sf::setup {
namespace {

constexpr int kStepMs = 10;
constexpr int kMaxWaitMs = 4000;  // DAD takes 1 s, after a random delay of up to 1 s (RFC 4862 section 5.4.2)

std::string sysctl_of(const std::string& tap, const char* name) {
  return "/proc/sys/net/ipv6/conf/" + tap + "/" + name;
}

void prepare_ipv6(const NetworkSettings& settings, const Log& log) {
  const std::string& tap = settings.tap.name;
  if (!settings.ipv6) {
    if (settings.advertised_ipv6) return;
    const int error = write_text(sysctl_of(tap, "disable_ipv6"), "1");
    // Without IPv6 in the kernel the file is absent, and all is well.
    if (error != 0 && error != ENOENT) {
      log.warning("cannot disable IPv6 on {} inside: {}; its addresses lead nowhere", tap, reason(error));
    }
    return;
  }
  // Nobody else is on this link, so that duplicate address detection could only cost a second. Where
  // /proc/sys is read-only (containers), wait_for_ipv6() waits for it.
  const int error = write_text(sysctl_of(tap, "accept_dad"), "0");
  if (error != 0) log.debug("cannot switch duplicate address detection off: {}", reason(error));
}

Result<void> configure_addresses(Netlink& netlink, unsigned index, const NetworkSettings& settings) {
  auto done = netlink.add_address(index, settings.guest4, settings.prefix4);
  if (done) done = netlink.add_default_route(index, settings.gateway4);
  const bool set_ipv6 = settings.ipv6 && !settings.advertised_ipv6;
  if (done && set_ipv6) done = netlink.add_address(index, settings.guest6, settings.prefix6);
  if (done && set_ipv6) done = netlink.add_default_route(index, settings.router6);
  return done;
}

}  // namespace

void prepare_tap(const NetworkSettings& settings) {
  if (settings.ipv6) static_cast<void>(write_text(sysctl_of(settings.tap.name, "accept_dad"), "0"));
}

Result<void> configure_network(const NetworkSettings& settings, const Log& log) {
  if (!settings.configure && !settings.bring_up) {
    prepare_tap(settings);
    return {};
  }
  auto netlink = Netlink::open();
  if (!netlink) return tl::unexpected(netlink.error());
  auto index = netlink->link_index(settings.tap.name);
  if (!index) return tl::unexpected(index.error());
  prepare_ipv6(settings, log);
  if (auto set = netlink->set_link(*index, {.mtu = {}, .mac = {}, .up = true}); !set) return set;
  if (!settings.configure) return {};

  auto loopback = netlink->link_index("lo");
  if (!loopback) return tl::unexpected(loopback.error());
  if (auto set = netlink->set_link(*loopback, {.mtu = {}, .mac = {}, .up = true}); !set) return set;
  return configure_addresses(*netlink, *index, settings);
}

void wait_for_ipv6(const NetworkSettings& settings, const Log& log) {
  if (!settings.configure || !settings.ipv6) return;
  auto netlink = Netlink::open();
  auto index =
      netlink ? netlink->link_index(settings.tap.name) : Result<unsigned>(tl::unexpected(netlink.error()));
  if (!index) return log.warning("{}", index.error().message);
  for (int waited = 0; waited < kMaxWaitMs; waited += kStepMs) {
    auto state = netlink->ipv6_state(*index);
    if (!state) return log.warning("{}", state.error().message);
    if (state->link_local && state->global && !state->tentative) return;
    static_cast<void>(::poll(nullptr, 0, kStepMs));
  }
  log.warning("IPv6 on {} is not ready after {} s: {}; going on", settings.tap.name, kMaxWaitMs / 1000,
              settings.advertised_ipv6
                  ? fmt::format("no address by router advertisement (sysctl net.ipv6.conf.{}.accept_ra)",
                                settings.tap.name)
                  : "duplicate address detection has not ended");
}

}  // namespace sf::setup
