#include "cli/slirp4netns.hh"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <span>

#include "cli/help.hh"
#include "cli/values.hh"

namespace sf::cli {
namespace {

constexpr std::uint32_t kSmallestMtu = 68;    // of any interface with IPv4 (RFC 791 section 3.2)
constexpr std::uint32_t kLargestMtu = 65521;  // of a TAP
constexpr std::uint8_t kLongestPrefix = 25;   // the longest that has an address 100
constexpr std::uint32_t kMaxDescriptor = 1U << 30;

// What the options leave behind for the end, where all of them are known.
struct Draft {
  Config config;
  bool help = false;
  bool version = false;
  bool bess = false;
  bool netns_type_given = false;
  TargetKind netns_type = TargetKind::process;
};

struct Option {
  std::string_view name;
  char letter;                // 0: none
  std::string_view argument;  // its name in the usage; empty: takes none
  std::string_view help;      // empty: a second name that the usage leaves out
  Result<void> (*take)(Draft&, std::string_view option, std::string_view text);
};

// Puts a parsed value where it belongs.
template <typename T, typename U>
Result<void> put(T& destination, const Result<U>& value) {
  if (!value) return tl::unexpected(value.error());
  destination = static_cast<T>(*value);
  return {};
}

Result<void> take_mtu(Draft& draft, std::string_view option, std::string_view text) {
  const auto mtu = parse_number(option, text, 1, kLargestMtu);
  if (!mtu) return fail("MTU must be a positive integer (< 65522)");
  if (*mtu < kSmallestMtu) {
    return fail("{} '{}': is less than Linux gives an interface; {} is the least", option, text,
                kSmallestMtu);
  }
  draft.config.mtu = *mtu;
  return {};
}

Result<void> take_cidr(Draft& draft, std::string_view option, std::string_view text) {
  const auto cidr = parse_cidr(option, text);
  if (cidr && cidr->length > kLongestPrefix) {
    return fail("{} '{}': the prefix must be from /1 to /{}, because the namespace has the 100th address",
                option, text, kLongestPrefix);
  }
  return put(draft.config.cidr, cidr);
}

Result<void> take_netns_type(Draft& draft, std::string_view option, std::string_view text) {
  draft.netns_type_given = true;
  if (text == "pid") {
    draft.netns_type = TargetKind::process;
  } else if (text == "path") {
    draft.netns_type = TargetKind::path;
  } else if (text == "tapfd") {
    draft.netns_type = TargetKind::tap_descriptor;
  } else {
    return fail("{} '{}': must be pid, path or tapfd", option, text);
  }
  return {};
}

Result<void> take_target_type(Draft& draft, std::string_view option, std::string_view text) {
  if (text != "netns" && text != "bess") return fail("{} '{}': must be netns or bess", option, text);
  draft.bess = text == "bess";
  return {};
}

// Either the address, or the interface that has it.
Result<void> take_outbound(std::optional<Address>& address, std::string& interface, Family family,
                           std::string_view option, std::string_view text) {
  address.reset();
  interface.clear();
  if (Address::parse(text)) return put(address, parse_address(option, text, family));
  const auto name = parse_interface(option, text);
  if (!name) {
    return fail("{} '{}': is neither an IPv{} address nor the name of an interface", option, text,
                family == Family::v4 ? 4 : 6);
  }
  return put(interface, name);
}

Result<void> take_path(std::string& destination, std::string_view option, std::string_view text) {
  if (text.empty()) return fail("{}: needs a path that is not empty", option);
  destination = text;
  return {};
}

constexpr auto kTakeDisableLoopback = [](Draft& draft, std::string_view, std::string_view) -> Result<void> {
  draft.config.host_loopback = false;
  return {};
};
constexpr auto kTakeSandbox = [](Draft& draft, std::string_view, std::string_view) -> Result<void> {
  draft.config.sandbox = true;
  return {};
};

constexpr Option kOptions[] = {
    {"configure", 'c', "", "set up the interface: addresses, route, MTU, and bring it up",
     [](Draft& draft, std::string_view, std::string_view) -> Result<void> {
       draft.config.configure = true;
       return {};
     }},
    {"exit-fd", 'e', "FD", "end when the other end of FD is closed",
     [](Draft& draft, std::string_view option, std::string_view text) {
       return put(draft.config.exit_fd, parse_number(option, text, 0, kMaxDescriptor));
     }},
    {"ready-fd", 'r', "FD", "write 1 to FD once the network works",
     [](Draft& draft, std::string_view option, std::string_view text) {
       return put(draft.config.ready_fd, parse_number(option, text, 0, kMaxDescriptor));
     }},
    {"mtu", 'm', "MTU", "MTU of the interface (1500; 65521 at most)", take_mtu},
    {"enable-ipv6", '6', "", "IPv6 in the namespace: fd00::/64, by router advertisement",
     [](Draft& draft, std::string_view, std::string_view) -> Result<void> {
       draft.config.ipv6 = true;
       return {};
     }},
    {"api-socket", 'a', "PATH", "control socket",
     [](Draft& draft, std::string_view option, std::string_view text) {
       return take_path(draft.config.api_socket, option, text);
     }},
    {"cidr", 0, "CIDR", "IPv4 network of the namespace (10.0.2.0/24)", take_cidr},
    {"disable-host-loopback", 0, "", "the gateway does not lead to the host's 127.0.0.1",
     kTakeDisableLoopback},
    {"no-host-loopback", 0, "", "", kTakeDisableLoopback},
    {"netns-type", 0, "TYPE", "what names the namespace: pid, path or tapfd (pid)", take_netns_type},
    {"userns-path", 0, "PATH", "user namespace to join first",
     [](Draft& draft, std::string_view option, std::string_view text) {
       return take_path(draft.config.userns_path, option, text);
     }},
    {"enable-sandbox", 0, "", "see no files but /etc and /run, keep no capability but one", kTakeSandbox},
    {"create-sandbox", 0, "", "", kTakeSandbox},
    {"enable-seccomp", 0, "", "allow no system calls but those that are needed",
     [](Draft& draft, std::string_view, std::string_view) -> Result<void> {
       draft.config.seccomp = true;
       return {};
     }},
    {"outbound-addr", 0, "IPV4|IFACE", "source address of what leaves the host over IPv4",
     [](Draft& draft, std::string_view option, std::string_view text) {
       Config& config = draft.config;
       return take_outbound(config.outbound_address4, config.outbound_address4_of, Family::v4, option, text);
     }},
    {"outbound-addr6", 0, "IPV6|IFACE", "source address of what leaves the host over IPv6",
     [](Draft& draft, std::string_view option, std::string_view text) {
       Config& config = draft.config;
       return take_outbound(config.outbound_address6, config.outbound_address6_of, Family::v6, option, text);
     }},
    {"disable-dns", 0, "", "no DNS forwarder",
     [](Draft& draft, std::string_view, std::string_view) -> Result<void> {
       draft.config.dns = false;
       return {};
     }},
    {"macaddress", 0, "MAC", "MAC address of the interface; needs -c",
     [](Draft& draft, std::string_view option, std::string_view text) {
       return put(draft.config.mac, parse_mac(option, text));
     }},
    {"target-type", 0, "TYPE", "netns, or bess: a socket at PATH that takes and gives frames (netns)",
     take_target_type},
    // Not slirp4netns's.
    {"threads", 0, "N", "threads that move packets (1)",
     [](Draft& draft, std::string_view option, std::string_view text) {
       return put(draft.config.threads, parse_number(option, text, 1, kMaxThreads));
     }},
    {"help", 'h', "", "show this text",
     [](Draft& draft, std::string_view, std::string_view) -> Result<void> {
       draft.help = true;
       return {};
     }},
    {"version", 'v', "", "show the version",
     [](Draft& draft, std::string_view, std::string_view) -> Result<void> {
       draft.version = true;
       return {};
     }},
};

constexpr std::string_view kSeeHelp = "see slirp4netns --help";

Result<const Option*> find_long(std::string_view name) {
  const Option* found = nullptr;
  bool several = false;
  for (const Option& option : kOptions) {
    if (option.name == name) return &option;
    if (!option.name.starts_with(name)) continue;
    several = several || (found != nullptr && found->take != option.take);
    found = &option;
  }
  if (found == nullptr) return fail("'--{}': is not an option here; {}", name, kSeeHelp);
  if (several) return fail("'--{}': is the beginning of several options; write it out, {}", name, kSeeHelp);
  return found;
}

Result<const Option*> find_letter(char letter) {
  const auto* found = std::ranges::find_if(kOptions, [&](const Option& o) { return o.letter == letter; });
  if (letter == 0 || found == std::end(kOptions)) {
    return fail("'-{}': is not an option here; {}", letter, kSeeHelp);
  }
  return found;
}

// The words that are left, one after the other.
class Words {
 public:
  explicit Words(std::span<const std::string> words) : words_(words) {}
  [[nodiscard]] bool done() const { return words_.empty(); }
  std::string_view next() {
    const std::string_view word = words_.front();
    words_ = words_.subspan(1);
    return word;
  }

 private:
  std::span<const std::string> words_;
};

// --name, --name=VALUE; `body` is without the dashes.
Result<void> take_long(Draft& draft, std::string_view body, Words& words) {
  const std::size_t equals = body.find('=');
  const auto option = find_long(body.substr(0, equals));
  if (!option) return tl::unexpected(option.error());
  const std::string name = fmt::format("--{}", (*option)->name);
  if ((*option)->argument.empty()) {
    if (equals != std::string_view::npos)
      return fail("{}: takes no value; leave '{}' out", name, body.substr(equals));
    return (*option)->take(draft, name, {});
  }
  if (equals != std::string_view::npos) return (*option)->take(draft, name, body.substr(equals + 1));
  if (words.done()) return fail("{}: needs a value, as in {}={}", name, name, (*option)->argument);
  return (*option)->take(draft, name, words.next());
}

// -c, -r3, -cr 3; `cluster` is without the dash.
Result<void> take_short(Draft& draft, std::string_view cluster, Words& words) {
  while (!cluster.empty() && !draft.help && !draft.version) {
    const auto option = find_letter(cluster.front());
    if (!option) return tl::unexpected(option.error());
    cluster.remove_prefix(1);
    const std::string name = fmt::format("--{}", (*option)->name);
    std::string_view text;
    if (!(*option)->argument.empty()) {
      if (cluster.empty() && words.done()) {
        return fail("-{}: needs a value, as in {}={}", (*option)->letter, name, (*option)->argument);
      }
      text = cluster.empty() ? words.next() : cluster;
      cluster = {};
    }
    if (auto taken = (*option)->take(draft, name, text); !taken) return taken;
  }
  return {};
}

// All options; what is none is returned. --help and --version end it, as they end the program.
Result<std::vector<std::string_view>> take_words(Draft& draft, Words words) {
  std::vector<std::string_view> left;
  bool options = true;
  while (!words.done() && !draft.help && !draft.version) {
    const std::string_view word = words.next();
    Result<void> taken;
    if (!options || word.size() < 2 || word[0] != '-') {
      left.push_back(word);
    } else if (word == "--") {
      options = false;
    } else if (word[1] == '-') {
      taken = take_long(draft, word.substr(2), words);
    } else {
      taken = take_short(draft, word.substr(1), words);
    }
    if (!taken) return tl::unexpected(taken.error());
  }
  return left;
}

Result<void> check_bess(const Draft& draft) {
  const char* excluded = draft.config.configure              ? "--configure"
                         : draft.netns_type_given            ? "--netns-type"
                         : !draft.config.userns_path.empty() ? "--userns-path"
                                                             : nullptr;
  if (excluded == nullptr) return {};
  return fail("{}: conflicts with --target-type=bess, which has no namespace; leave one of them out",
              excluded);
}

Result<void> check_together(Draft& draft) {
  Config& config = draft.config;
  if (draft.bess) {
    if (auto checked = check_bess(draft); !checked) return checked;
  }
  if (config.mac && !config.configure) return fail("--macaddress: needs -c (--configure) beside it");
  if (config.ready_fd >= 0 && config.ready_fd == config.exit_fd) {
    return fail("--ready-fd and --exit-fd: cannot be the same descriptor {}; open two", config.ready_fd);
  }
  // IPv4 goes on: callers ask for IPv6 unseen.
  if (config.ipv6 && config.mtu < kMinMtu6) {
    config.ipv6 = false;
    config.warnings.push_back(
        fmt::format("--enable-ipv6 has no effect: IPv6 needs an MTU of {} or more (RFC 8200)", kMinMtu6));
  }
  return {};
}

Result<void> take_descriptor_target(Draft& draft, std::string_view text) {
  Config& config = draft.config;
  const auto fd = parse_number("FD", text, 0, kMaxDescriptor);
  if (!fd) return fail("FD '{}': must be the number of an open TAP descriptor, for --netns-type=tapfd", text);
  config.tap_fd = static_cast<int>(*fd);
  if (config.configure) {
    config.configure = false;
    config.mac.reset();
    config.warnings.emplace_back(
        "-c has no effect with --netns-type=tapfd: whoever made the TAP sets its addresses");
  }
  return {};
}

// PID, PATH or FD; and TAPNAME, where one is made or looked for.
Result<void> take_target(Draft& draft, const std::vector<std::string_view>& left) {
  Config& config = draft.config;
  config.target_kind = draft.bess ? TargetKind::bess : draft.netns_type;
  const bool named = config.target_kind == TargetKind::process || config.target_kind == TargetKind::path;
  if (left.empty() || left[0].empty()) {
    return fail("{} is missing; the form is: slirp4netns [OPTION]... PID|PATH|FD [TAPNAME]",
                config.target_kind == TargetKind::process          ? "PID"
                : config.target_kind == TargetKind::tap_descriptor ? "FD"
                                                                   : "PATH");
  }
  config.target = left[0];
  if (config.target_kind == TargetKind::process &&
      !parse_number("PID", left[0], 1, std::numeric_limits<std::int32_t>::max())) {
    return fail("PID must be a positive integer, and not '{}'; a file is named with --netns-type=path",
                left[0]);
  }
  if (config.target_kind == TargetKind::tap_descriptor) {
    if (auto taken = take_descriptor_target(draft, left[0]); !taken) return taken;
  }
  if (named && left.size() > 1) {
    if (auto taken = put(config.tap_name, parse_interface("TAPNAME", left[1])); !taken) return taken;
  }
  if (left.size() > (named ? 2U : 1U)) config.warnings.emplace_back("too many arguments");
  return {};
}

}  // namespace

bool is_slirp4netns(std::string_view program) {
  return program.substr(program.rfind('/') + 1) == "slirp4netns";
}

std::string slirp4netns_usage() {
  std::string out =
      "Usage: slirp4netns [OPTION]... PID|PATH|FD [TAPNAME]\n"
      "User-mode networking for unprivileged network namespaces, by slirp-forwarder.\n\n";
  for (const Option& option : kOptions) {
    if (option.help.empty()) continue;
    const std::string letter = option.letter != 0 ? fmt::format("-{}, ", option.letter) : "";
    const std::string value = option.argument.empty() ? "" : fmt::format("={}", option.argument);
    out += fmt::format("  {:<29} {}\n", fmt::format("{}--{}{}", letter, option.name, value), option.help);
  }
  return out + "\nThe manual page slirp-forwarder(1) says more.\n";
}

Result<Options> parse_slirp4netns(const std::vector<std::string>& words) {
  Draft draft;
  draft.config.command = Command::attach;
  draft.config.slirp4netns = true;
  draft.config.ipv6 = false;
  draft.config.host_loopback = true;
  draft.config.sandbox = false;
  draft.config.seccomp = false;
  const auto left = take_words(draft, Words(words));
  if (!left) return tl::unexpected(left.error());
  if (draft.help) return ShowText{slirp4netns_usage()};
  if (draft.version) return ShowText{slirp4netns_version_text()};
  if (auto checked = check_together(draft); !checked) return tl::unexpected(checked.error());
  if (auto taken = take_target(draft, *left); !taken) return tl::unexpected(taken.error());
  return std::move(draft.config);
}

}  // namespace sf::cli
