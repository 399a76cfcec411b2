// Everything that the command line decides, checked and typed. Plain data: nothing here looks at the machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hh"
#include "base/log.hh"
#include "cli/policy_items.hh"
#include "engine/published.hh"

namespace sf::cli {

enum class Command : std::uint8_t {
  run,     // a command in new namespaces
  attach,  // join what a process or a file names
  path,    // a new network namespace, bind-mounted on a file
};

// What `target` is.
enum class TargetKind : std::uint8_t {
  detect,          // a process id where it is all digits, else a file
  process,         // a process id
  path,            // a file on which a network namespace is mounted
  tap_descriptor,  // an open TAP: `tap_fd`
  bess,            // a socket to listen at, which takes and gives frames
};

enum class LogFormat : std::uint8_t { text, json };

// The namespaces that `run` makes beside user, mount and network.
struct ExtraNamespaces {
  bool pid = false;  // implies an init and a fresh /proc
  bool ipc = false;
  bool uts = false;
  bool cgroup = false;
};

struct Config {
  Command command = Command::run;
  bool slirp4netns = false;  // called by that name: what differs for whoever relies on it

  // The link, and the network on it.
  std::uint32_t mtu = 1500;
  Prefix cidr{Address::v4(10, 0, 2, 0), 24};
  bool ipv6 = true;
  bool offload = true;  // segmentation and checksums are the kernel's work
  Prefix cidr6{Address::v6({0xfd}), 64};
  std::optional<MacAddress> mac;  // the guest's; the kernel chooses one where it is absent
  std::string tap_name = "tap0";
  unsigned threads = 0;  // each with a queue of the TAP; 0: as many as suit the machine

  // The way out.
  bool host_loopback = false;
  bool metadata = false;  // the metadata services of clouds
  bool dns = true;
  std::optional<Address> outbound_address4;
  std::optional<Address> outbound_address6;
  std::string outbound_address4_of;  // the interface whose address that is; empty: none
  std::string outbound_address6_of;
  std::string outbound_interface;    // empty: any
  std::vector<Address> dns_servers;  // empty: those of the host's resolv.conf

  // The way in.
  std::vector<engine::PublishRule> publish;
  std::string api_socket;     // empty: only the one in the list of instances
  bool publish_auto = false;  // what the guest listens on, on the host's loopback

  PolicyOptions policy;  // which of the world the guest may reach

  // What the program may still do once it runs (cli/confinement.hh). The native commands' is `confined`, the
  // others are slirp4netns's.
  bool confined = true;
  bool sandbox = false;
  bool seccomp = false;

  // What is told to people.
  LogLevel log_level = LogLevel::info;
  LogFormat log_format = LogFormat::text;
  std::string pcap_file;              // empty: none
  std::string flow_log_file;          // empty: none, or
  int flow_log_fd = -1;               // a descriptor of the caller's
  std::vector<std::string> warnings;  // what was accepted, and has to be said

  // run
  ExtraNamespaces namespaces;
  std::vector<std::string> guest_command;  // never empty for run

  // attach and path (path: always a file).
  std::string target;
  std::string userns_path;  // empty: found from the target
  TargetKind target_kind = TargetKind::detect;
  bool configure = false;  // always true for run
  int tap_fd = -1;         // for TargetKind::tap_descriptor
  int ready_fd = -1;       // "1" is written to it, and it is closed, once the network works
  int exit_fd = -1;        // the program ends when this descriptor's other end is closed
};

}  // namespace sf::cli
