#include "cli/help.hh"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string_view>

namespace sf::cli {
namespace {

constexpr std::string_view kOverview =
    R"(slirp-forwarder gives a network namespace a working network, without privileges.

Usage:
  slirp-forwarder run [options] [--] [CMD [ARG...]]
      Run CMD ($SHELL where it is absent) in a new user, mount and network namespace.
  slirp-forwarder attach [options] PID|PATH [TAPNAME]
      Connect the network namespace of a process, or the one that a file names.
  slirp-forwarder [options] PATH
      Make a network namespace with a TAP, bind-mount it on PATH, and stay until
      SIGINT or SIGTERM. CONFIGURE_NETWORK in the environment means --configure.
      Needs a user and mount namespace, such as that of unshare -mr. A file with the
      name of a command, such as "run", is written ./run.

  slirp-forwarder ls
      List what is running of this user's.
  slirp-forwarder port add INSTANCE RULE... | rm INSTANCE RULE|ID... | ls [INSTANCE]
      Publish ports at run time, take them away, list them.
  slirp-forwarder flows [INSTANCE]
      Show live flows with rates, round-trip time and state.
  slirp-forwarder top [INSTANCE]
      Show them in the terminal as they go on.
  slirp-forwarder capture INSTANCE [FILTER]
      Record what passes, or show it live to Wireshark or tcpdump.
  slirp-forwarder policy [INSTANCE [show]] | INSTANCE set FILE|allow RULE...|deny RULE...|reset
      Show the egress policy and what it has refused, or change it.
  slirp-forwarder policy suggest FLOWLOG [--output FILE]
      Make a policy file of what a --flow-log has seen.
)";

constexpr std::string_view kLs = R"(Usage: slirp-forwarder ls [--json]

Lists the running instances of this user, which are found by their sockets in
$XDG_RUNTIME_DIR/slirp-forwarder. One that does not answer within 2 s is named on standard
error, and the exit status is 1. Where none is running, nothing is printed.
)";

constexpr std::string_view kPort = R"(Usage: slirp-forwarder port add [--loopback] [--json] INSTANCE RULE...
       slirp-forwarder port rm [--json] INSTANCE RULE|ID...
       slirp-forwarder port ls [--json] [INSTANCE]

Publishes ports of a running instance, takes them away, and lists them.
RULE is what --publish takes: [tcp|udp/][HOST_ADDR:]HOST_PORT[-END][:GUEST_PORT[-END]].
add publishes all of the rules or none, and prints each port, one per line, with the port
that the host chose for 0. rm takes away all of the ports or none; connections through them
live on. It needs no GUEST_PORT; a number alone is a port's ID or, where there is none, its
HOST_PORT.
)";

constexpr std::string_view kFlows =
    R"(Usage: slirp-forwarder flows [--interval SECONDS] [--limit N] [--json] [INSTANCE]

Shows the live flows of a running instance, the busiest first: RTT is the round trip to the
remote end and GUEST RTT that to the guest, FROM GUEST and TO GUEST are rates of payload, SENT
and RECEIVED the guest's bytes so far.
"->" is a flow that began inside, "<-" one through a published port.
)";

constexpr std::string_view kTop = R"(Usage: slirp-forwarder top [--interval SECONDS] [INSTANCE]

Shows a running instance in the terminal as it goes on: throughput, what was dropped and
refused, and the flows with their rates.
s and S choose what the flows are sorted by, r turns the order round, space stops the list,
the arrow and page keys scroll it, q or Ctrl-C ends.
)";

constexpr std::string_view kPolicy = R"(Usage: slirp-forwarder policy [--json] [INSTANCE [show]]
       slirp-forwarder policy [--json] INSTANCE set FILE
       slirp-forwarder policy [--json] INSTANCE allow RULE...
       slirp-forwarder policy [--json] INSTANCE deny RULE...
       slirp-forwarder policy [--json] INSTANCE reset
       slirp-forwarder policy suggest FLOWLOG [--output FILE]

Shows the egress policy of a running instance, one rule per line in the order in which they
count, and what it has refused how often; or changes it for flows that begin from then on.
set replaces all of it by a policy file, allow and deny put rules before all others, and reset
takes back what was changed, with the file of --policy as it is now.
RULE is what --allow takes: [tcp|udp|icmp/]TARGET[:PORTS].
suggest makes a policy file that allows what the flow log FLOWLOG (- is standard input) has
seen, with what was refused as comments: for --policy, once it has been read.
)";

constexpr std::string_view kCapture =
    R"(Usage: slirp-forwarder capture [-w FILE] [-s BYTES] [-c N] INSTANCE [FILTER]

Records the frames of a running instance from now on, both ways, as pcapng, until SIGINT or
SIGTERM, or until the instance ends. FILTER is what tcpdump takes, such as "tcp port 80 and
host 192.0.2.1". Frames that the instance has no room for while the recording does not get
on are lost, and counted. Frames that the two kernels cut later are recorded whole.

  slirp-forwarder capture 4711 | wireshark -k -i -
  slirp-forwarder capture 4711 udp port 53 | tcpdump -n -r -
)";

constexpr std::string_view kInstance = R"(
INSTANCE is a pid as ls shows it, the beginning of one, or the path of a control socket, with
a '/' in it. Where one instance alone is running, flows, port ls and policy need none. top
asks where there are several.
)";

constexpr std::string_view kRun = R"(Usage: slirp-forwarder run [options] [--] [CMD [ARG...]]

Runs CMD ($SHELL where it is absent) in a new user, mount and network namespace, with all of
the user's /etc/subuid and /etc/subgid ranges. CMD starts when the network is ready; signals
are forwarded to it, and the exit status is its own (128 + N after signal N, 127 where CMD is
not found, 126 where it cannot be executed). What CMD leaves running ends with it.
Options stand before CMD.
)";

constexpr std::string_view kAttach = R"(Usage: slirp-forwarder attach [options] PID|PATH [TAPNAME]

Joins the network namespace of process PID, or the one bind-mounted on PATH, and connects it.
Ends by itself when that namespace is gone, and on SIGINT or SIGTERM.
)";

constexpr std::string_view kPath = R"(Usage: slirp-forwarder [options] PATH

Makes a network namespace with a TAP that is up, bind-mounts it on the existing file PATH, and
unmounts it on SIGINT or SIGTERM. CONFIGURE_NETWORK in the environment means --configure.
)";

constexpr std::string_view kRunExamples = R"(
Examples:
  slirp-forwarder run                                    a shell
  slirp-forwarder run --all -- curl http://example.com/  one command, all namespaces
  slirp-forwarder run --host-loopback nc 10.0.2.2 8080   reach a server on the host's 127.0.0.1
)";

constexpr std::string_view kAttachExamples = R"(
Examples:
  slirp-forwarder attach --configure 4711
  slirp-forwarder attach --configure --ready-fd 3 /run/user/1000/netns/ns1 eth0 3>ready
)";

constexpr std::string_view kPathExamples = R"(
Examples:
  unshare -mr                                            first a user and a mount namespace, then in it:
  touch net; slirp-forwarder --configure net &
  nsenter --net=net wget -O- http://example.com/
)";

constexpr std::size_t kNameColumn = 24;

std::string options_of_group(const CLI::App& app, const std::string& group) {
  std::string out;
  for (const CLI::Option* option :
       app.get_options([&](const CLI::Option* o) { return o->get_group() == group; })) {
    const std::string type = option->get_items_expected_max() > 0 ? " " + option->get_type_name() : "";
    const std::string name = option->get_name(false, true) + type;
    // A long name has a line of its own.
    out += fmt::format("  {:<{}}", name, kNameColumn);
    if (name.size() >= kNameColumn) out += fmt::format("\n  {:<{}}", "", kNameColumn);
    out += option->get_description() + "\n";
  }
  return out;
}

}  // namespace

std::string option_lines(const CLI::App& app) {
  std::string out;
  for (const std::string& group : app.get_groups()) {
    const std::string lines = options_of_group(app, group);
    if (!lines.empty()) out += fmt::format("\n{}:\n{}", group == "Options" ? "Help" : group, lines);
  }
  return out;
}

std::string help_text(std::optional<Command> command, const std::string& options) {
  const std::string common = "\nThe manual page slirp-forwarder(1) says more.\n";
  if (!command) {
    return fmt::format("{}{}{}{}\nslirp-forwarder run --help and attach --help list what is theirs alone.{}",
                       kOverview, options, kRunExamples, kPathExamples.substr(sizeof("\nExamples:")), common);
  }
  switch (*command) {
    case Command::run:
      return fmt::format("{}{}{}{}", kRun, options, kRunExamples, common);
    case Command::attach:
      return fmt::format("{}{}{}{}", kAttach, options, kAttachExamples, common);
    case Command::path:
      return fmt::format("{}{}{}{}", kPath, options, kPathExamples, common);
  }
  return {};
}

std::string control_help_text(std::string_view word, const std::string& options) {
  const std::string_view head = word == "ls"        ? kLs
                                : word == "port"    ? kPort
                                : word == "policy"  ? kPolicy
                                : word == "capture" ? kCapture
                                : word == "top"     ? kTop
                                                    : kFlows;
  return fmt::format("{}{}{}\nThe manual page slirp-forwarder(1) says more.\n", head,
                     word == "ls" ? "" : kInstance, options);
}

std::string version_text() {
  return "slirp-forwarder " SF_VERSION "\n";
}

std::string slirp4netns_version_text() {
  // The version of slirp4netns whose command line this is, and that of libslirp's settings.
  return "slirp4netns version 1.3.2 (slirp-forwarder " SF_VERSION ")\nSLIRP_CONFIG_VERSION_MAX: 4\n";
}

}  // namespace sf::cli
