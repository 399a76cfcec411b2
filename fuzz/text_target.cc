// Text that people and files say: ports, networks, addresses, command lines (ours and slirp4netns's),
// resolv.conf. The first byte says which.
#include <string>

#include "base/address.hh"
#include "cli/addresses.hh"
#include "cli/commands.hh"
#include "cli/options.hh"
#include "cli/printable.hh"
#include "cli/slirp4netns.hh"
#include "cli/values.hh"
#include "control/publish_syntax.hh"
#include "host/resolvers.hh"
#include "input.hh"
#include "services/search_list.hh"

namespace sf::fuzz {
namespace {

// An Error is one line for people.
template <typename Value>
void require_line(const Result<Value>& result) {
  if (result) return;
  const std::string& line = result.error().message;
  require(!line.empty(), "an error without a word");
}

// Words between zero bytes or newlines.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(std::string_view("\0\n", 2)), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

void check_config(const Result<cli::Options>& options) {
  require_line(options);
  if (!options) return;
  const auto* config = std::get_if<cli::Config>(&*options);
  if (config == nullptr) return;
  require(config->mtu >= 68 && config->mtu <= 65521, "an MTU out of range");
  require(config->cidr.base.is_v4() && config->cidr.length <= 29, "an IPv4 network");
  require(!config->ipv6 || (config->cidr6.base.is_v6() && config->cidr6.length == 64), "an IPv6 network");
  require(config->command != cli::Command::run || !config->guest_command.empty(), "run without a command");
  const link::Network network = cli::make_network(*config);
  require(network.prefix4.contains(network.gateway4) && network.prefix4.contains(network.guest4) &&
              network.prefix4.contains(network.dhcp_first) && network.prefix4.contains(network.dhcp_last) &&
              network.dhcp_first <= network.dhcp_last && network.gateway4 != network.guest4 &&
              network.dns4 != network.guest4,
          "addresses of the IPv4 network");
}

void publish(std::string_view text) {
  const auto rules = control::parse_publish(text);
  require_line(rules);
  if (!rules) return;
  require(!rules->empty() && rules->size() <= control::kMaxPortsInRange, "the number of rules");
  for (const engine::PublishRule& rule : *rules) {
    const auto again = control::parse_publish(control::format_publish(rule));
    require(again && again->size() == 1 && again->front() == rule, "a rule written and parsed again");
  }
  static_cast<void>(control::names_guest_port(text));
}

void values(std::string_view text) {
  const auto cidr = cli::parse_cidr("--cidr", text);
  require_line(cidr);
  if (cidr)
    require(cidr->base.is_v4() && Prefix::parse(cidr->to_string()) == *cidr, "a network there and back");
  const auto cidr6 = cli::parse_cidr6("--cidr6", text);
  require_line(cidr6);
  if (cidr6) require(cidr6->length == 64 && Prefix::parse(cidr6->to_string()) == *cidr6, "an IPv6 network");
  const auto mac = cli::parse_mac("--mac", text);
  require_line(mac);
  if (mac) require(MacAddress::parse(mac->to_string()) == *mac, "a MAC there and back");
  const auto interface = cli::parse_interface("--tap", text);
  require_line(interface);
  if (interface) require(interface->size() <= 15 && !interface->empty(), "an interface's name");
  for (const auto family : {cli::Family::v4, cli::Family::v6, cli::Family::any})
    require_line(cli::parse_address("--address", text, family));
  const auto number = cli::parse_number("--number", text, 5, 70000);
  require_line(number);
  if (number) require(*number >= 5 && *number <= 70000, "a number out of range");
}

void addresses(std::string_view text) {
  if (const auto address = Address::parse(text))
    require(Address::parse(address->to_string()) == address, "an address there and back");
  if (const auto prefix = Prefix::parse(text))
    require(Prefix::parse(prefix->to_string()) == prefix && prefix->contains(prefix->base), "a prefix");
  if (const auto mac = MacAddress::parse(text)) require(MacAddress::parse(mac->to_string()) == mac, "a MAC");
  const std::string shown = cli::printable(text);
  for (const char c : shown)
    require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "a control character");
  require(cli::printable(shown) == shown, "printable text is made printable once more");
  require(cli::width(cli::cut(shown, 12)) <= 12, "cut text is too wide");
}

void resolv_conf(std::string_view text) {
  const host::Resolvers found = host::parse_resolv_conf(text);
  require(!found.servers.empty() && found.servers.size() <= host::Resolvers::kMaxServers &&
              found.search.size() <= host::Resolvers::kMaxSearch,
          "the number of resolvers");
  std::string again;
  for (const Endpoint& server : found.servers) again += "nameserver " + server.address.to_string() + "\n";
  again += "search";
  for (const std::string& name : found.search) again += " " + name;
  require(host::parse_resolv_conf(again) == found, "resolv.conf written and parsed again");
  for (const std::size_t budget : {0U, 50U, 500U})
    require(services::usable_search(found.search, budget).size() <= found.search.size(), "a search list");
}

void dispatch(std::uint8_t which, std::string_view text) {
  switch (which % 7) {
    case 0:
      return publish(text);
    case 1:
      return values(text);
    case 2:
      return addresses(text);
    case 3:
      return resolv_conf(text);
    case 4:
      return check_config(cli::parse_slirp4netns(words_of(text)));
    case 5:
      return check_config(
          cli::parse_options(words_of(text), {.configure_network = false, .shell = "/bin/sh"}));
    default: {
      std::vector<std::string> words = words_of(text);
      if (words.empty() || !cli::is_control_word(words[0])) return;
      return require_line(cli::parse_control(words));
    }
  }
}

}  // namespace
}  // namespace sf::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sf;
  if (size == 0 || size > 4096) return 0;
  const fuzz::Exact exact(Bytes{data + 1, size - 1});
  fuzz::dispatch(data[0], fuzz::text_of(exact.bytes()));
  return 0;
}
